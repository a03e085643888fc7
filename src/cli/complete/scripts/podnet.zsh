# Asks podnet at every TAB. What follows `--` is another program's command line: that program's own completion
# knows it best.
_podnet() {
    local dashes=${words[(i)--]}
    if (( dashes < CURRENT )); then
        (( CURRENT -= dashes ))
        words=("${(@)words[dashes+1,-1]}")
        _normal
        return
    fi
    local candidate
    local -a open closed
    for candidate in "${(@f)$(PODNET_COMPLETE=zsh ${words[1]} -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        case ${candidate%%$'\t'*} in
            '') ;;
            *[=:/]) open+=("${${candidate//:/\\:}/$'\t'/:}") ;;
            *) closed+=("${${candidate//:/\\:}/$'\t'/:}") ;;
        esac
    done
    (( $#open )) && _describe -V podnet open -S ''
    (( $#closed )) && _describe -V podnet closed
}
compdef _podnet podnet kubectl-podnet
