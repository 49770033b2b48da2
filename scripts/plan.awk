# Turns `make -n --trace` into one line an artefact: fresh, or will run and why.
# Variables: all (the artefacts, in the order of the run), out, bin (folders to shorten).

/: update target '/ || /: target '/ {
    target = $0; sub(/^[^']*'/, "", target); sub(/'.*/, "", target)
    if ($0 ~ /does not exist/) why[target] = "missing"
    else { reason = $0; sub(/.*due to: /, "", reason); why[target] = reason }
}
/\*\*\*/ { print; failed = 1 }

function explain(target,    words, n, i, text, cause, sep) {
    if (why[target] == "missing") return "it does not exist"
    n = split(why[target], words, " ")
    for (i = 1; i <= n; i++) {
        cause = words[i]
        if (index(cause, "/.stamps/")) { sub(/.*\.stamps\//, "", cause); cause = "the flags of " cause " changed" }
        else if (index(cause, bin) == 1) cause = substr(cause, length(bin) + 1) " was rebuilt"
        else { if (index(cause, out) == 1) cause = substr(cause, length(out) + 1); cause = cause " is newer" }
        text = text sep cause; sep = ", "
    }
    return text
}

END {
    n = split(all, artefacts, " ")
    for (i = 1; i <= n; i++) {
        target = artefacts[i]; name = target
        if (index(name, out) == 1) name = substr(name, length(out) + 1)
        if (target in why) { printf "  %-36s will run: %s\n", name, explain(target); runs++ }
        else printf "  %-36s fresh\n", name
    }
    printf "%d of %d artefacts will be made\n", runs, n
    exit failed
}
