# Asks podnet at every TAB.
Register-ArgumentCompleter -Native -CommandName podnet, kubectl-podnet -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Where-Object { $_.Extent.StartOffset -lt $cursorPosition } | ForEach-Object {
        if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value } else { $_.Extent.Text }
    })
    if ($wordToComplete -eq '') { $words += '' } else { $words[-1] = $wordToComplete }
    $before = $env:PODNET_COMPLETE
    $env:PODNET_COMPLETE = 'powershell'
    try {
        # An empty word has to be quoted for PowerShell before 7.3 to pass it on.
        & $words[0] '--' @($words | ForEach-Object { if ($_ -eq '' -and $PSVersionTable.PSVersion -lt '7.3') { '""' } else { $_ } }) 2>$null | ForEach-Object {
            $text, $note = $_ -split "`t", 2
            if (-not $note) { $note = $text }
            [System.Management.Automation.CompletionResult]::new($text, $text, 'ParameterValue', $note)
        }
    } finally {
        $env:PODNET_COMPLETE = $before
    }
}
