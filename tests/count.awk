# Reads ctest's JUnit file and prints one line "passed failed skipped". A doctest program counts as
# its test cases, any other test as one. Lines "skipped NAME: WHY" that a test prints (doctest puts
# "FILE:LINE: MESSAGE: " before them) are what it could not run here; they are appended, under the
# test's name, to the file `skips`.
/<testcase / {
  match($0, /name="[^"]*"/)
  name = substr($0, RSTART + 6, RLENGTH - 7)
  match($0, /status="[a-z]*"/)
  status = substr($0, RSTART + 8, RLENGTH - 9)
  cases = case_failures = skips_here = 0
}
{ sub(/^[ \t]*<system-out>/, "") }
/^([^ ]* MESSAGE: )?skipped / {
  skips_here++
  sub(/<\/system-out>$/, "")
  sub(/^([^ ]* MESSAGE: )?skipped /, "")
  print name ": " $0 >> skips
}
/^(\[doctest\] )?test cases:/ {
  split($0, part, "|")
  cases += part[2]
  case_failures += part[3]
}
/<\/testcase>/ {
  if (status == "notrun" && skips_here) next
  passed += cases
  failed += case_failures
  if (status == "run") passed += (cases == 0)
  else if (case_failures == 0) failed++  # crashed, ran out of time, or could not be started
}
END { print passed + 0, failed + 0 }
