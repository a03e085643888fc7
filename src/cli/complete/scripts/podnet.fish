# Asks podnet at every TAB. What follows `--` is another program's command line: that program's own completion
# knows it best.
function __podnet_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    if set -l dashes (contains --index -- -- $words)
        complete --do-complete (string join -- ' ' (string escape -- $words[(math $dashes + 1)..]) $current)
        return
    end
    PODNET_COMPLETE=fish $words[1] -- $words $current 2>/dev/null
end
complete --command podnet --command kubectl-podnet --no-files --keep-order --arguments '(__podnet_complete)'
