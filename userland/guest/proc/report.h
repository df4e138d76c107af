/* SPDX-License-Identifier: MIT */
/*
 * report.h - why a process died, for its user
 */
#ifndef RS_PROC_REPORT_H
#define RS_PROC_REPORT_H

#include "proc.h"

/** report_is_bug() - @sig is one that a mistake of the program causes, not somebody's wish */
bool report_is_bug(int sig);
/**
 * report_death() - what happened, where, registers, backtrace; to RS_CONSOLE_REPORT
 * @fault: NULL when the process sent the signal itself. Reads the process's memory and the symbol
 * tables of its files, trusting neither.
 */
void report_death(struct thread *t, int sig, const struct fault_info *fault);

#endif
