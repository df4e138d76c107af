# SPDX-License-Identifier: MIT
#
# ksyms.awk - turns "nm -n" of the first link into the symbol table of the second
#
# Only code counts, and only what lies at or above rs_text_start; addresses become offsets from there. Without
# input it makes an empty table, which the first link needs.
BEGIN { n = 0; base = "" }
$3 == "rs_text_start" { base = $1; next }
base != "" && $2 ~ /^[tT]$/ && $3 !~ /^rs_text_end$/ { addr[n] = $1; name[n] = $3; n++ }
END {
	print "\t.section .rs_symbols, \"a\"\n\t.balign 8"
	print "\t.globl rs_ksym_count, rs_ksyms, rs_ksym_names"
	print "rs_ksym_count:\t.long " n "\n\t.long 0\nrs_ksyms:"
	off = 0
	for (i = 0; i < n; i++) {
		print "\t.long 0x" addr[i] " - 0x" base ", " off
		off += length(name[i]) + 1
	}
	print "rs_ksym_names:"
	for (i = 0; i < n; i++)
		print "\t.asciz \"" name[i] "\""
	print "\t.byte 0\n\t.section .note.GNU-stack, \"\", @progbits"
}
