show_failures() {
    local compiler
    for compiler; do
        awk -v compiler="$compiler" -v most=15 '
            function take(line) { lines[count++ % most] = substr(line, 1, 300) }
            function show(i) {
                printf "./test: failed: %s %s\n", compiler, name
                for (i = count > most ? count - most : 0; i < count; ++i) {
                    line = lines[i % most]
                    gsub(/&lt;/, "<", line); gsub(/&gt;/, ">", line); gsub(/&quot;/, "\"", line)
                    gsub(/&amp;/, "\\&", line)
                    print "    " line
                }
            }
            /<testcase / { failed = /status="fail"/; name = $0; sub(/.*<testcase name="/, "", name); sub(/".*/, "", name) }
            failed && /<system-out>/ { inside = 1; count = 0; sub(/.*<system-out>/, "") }
            inside && /<\/system-out>/ { inside = 0; sub(/<\/system-out>.*/, ""); if ($0 != "") take($0); show(); next }
            inside { take($0) }
        ' "out/tests-$compiler.xml"
    done
}
