PODNET_COMPLETE=fish podnet 2>/dev/null | source
