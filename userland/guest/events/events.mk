# SPDX-License-Identifier: MIT
#
# The functions whose calls from other objects arrive in hooks.c (ld --wrap)
WRAPPED := mm_fault pager_ask upcall_deliver upcall_fast signal_fault process_die rs_trap sched_start \
	   syscall_exec_done syscall_process_end rs_switch_stack sigframe_build host_call async_call sys_forward \
	   rs_ipc_call rs_ipc_reply_wait
