# Asks podnet at every TAB.
use str
set edit:completion:arg-completer[podnet] = {|@words|
    try {
        env PODNET_COMPLETE=elvish $words[0] -- $@words 2>/dev/null | from-lines | each {|line|
            var text note = (str:split &max=2 "\t" $line"\t")
            set note = (str:trim-space $note)
            if (eq $note '') {
                put $text
            } else {
                edit:complex-candidate $text &display=$text' ('$note')'
            }
        }
    } catch {
    }
}
set edit:completion:arg-completer[kubectl-podnet] = $edit:completion:arg-completer[podnet]
