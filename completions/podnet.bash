eval "$(PODNET_COMPLETE=bash podnet 2>/dev/null)"
