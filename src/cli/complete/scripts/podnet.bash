# Asks podnet at every TAB. What follows `--` is another program's command line: that program's own completion
# knows it best.
_podnet() {
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == -- ]] && declare -F _command_offset >/dev/null; then
            _command_offset $((i + 1))
            return
        fi
    done
    local IFS=$'\n'
    COMPREPLY=($(PODNET_COMPLETE=bash PODNET_COMPLETE_LINE="${COMP_LINE:0:COMP_POINT}" \
        PODNET_COMPLETE_BREAKS="$COMP_WORDBREAKS" "$1" -- "${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null))
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=:/] ]]; then
        compopt -o nospace
    fi
}
complete -o nosort -F _podnet podnet kubectl-podnet
