$env:PODNET_COMPLETE = 'powershell'
podnet | Out-String | Invoke-Expression
Remove-Item Env:PODNET_COMPLETE
