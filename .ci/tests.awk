# Reads `go test -json` and prints what a person wants of it: a line for each package,
# the output of what failed, and in the last line how many tests passed and failed
# (subtests are tests). Fails where something failed or nothing ran.

# field gives the value of a string member, which is written before any output.
function field(name,    at, rest) {
    at = index($0, "\"" name "\":\"")
    if (!at) return ""
    rest = substr($0, at + length(name) + 4)
    return substr(rest, 1, index(rest, "\"") - 1)
}

# text is the unescaped output of a line.
function text(    at, s) {
    at = index($0, "\"Output\":\"")
    s = substr($0, at + 10)
    sub(/"[^"]*}$/, "", s)
    gsub(/\\\\/, "\001", s)
    gsub(/\\n/, "\n", s); gsub(/\\t/, "\t", s); gsub(/\\"/, "\"", s); gsub(/\\r/, "", s)
    gsub(/\\u003c/, "<", s); gsub(/\\u003e/, ">", s); gsub(/\\u0026/, "\\&", s); gsub(/\\u001b/, "", s)
    gsub(/\001/, "\\", s)
    return s
}

!/^{/ { print; next }

/"Action":"(output|build-output)"/ {
    package = field("Package"); if (package == "") package = field("ImportPath")
    line = text()
    if (field("Test") != "" || /"Action":"build-output"/) {
        if (line !~ /^ *(=== (RUN|PAUSE|CONT|NAME)|--- PASS:)/) said[package] = said[package] line
    } else if (line !~ /^(PASS|FAIL)\n?$/) {
        last[package] = line; said[package] = said[package] line
    }
    next
}

/"Action":"build-fail"/ { printf "%s", said[field("ImportPath")]; next }

/"Action":"(pass|fail|skip)"/ {
    action = field("Action"); package = field("Package")
    if (field("Test") != "") { count[action]++; failed[package] += action == "fail"; next }
    if (action == "fail" && !failed[package]) count["fail"]++ # it did not build, or ended badly
    if (action != "skip") printf "%s", action == "fail" ? said[package] : last[package] # skip: it has no tests
    delete said[package]
}

END {
    if (count["skip"]) printf "%d skipped: what a test needs must be there, so they count as failed\n", count["skip"]
    count["fail"] += count["skip"]
    printf "%d passed, %d failed\n", count["pass"], count["fail"]
    exit count["fail"] || !count["pass"]
}
