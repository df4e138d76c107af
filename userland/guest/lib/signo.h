/* SPDX-License-Identifier: MIT */
/*
 * signo.h - Linux's numbers of signals, and what SIGCHLD's siginfo says happened to a child
 */
#ifndef RS_LIB_SIGNO_H
#define RS_LIB_SIGNO_H

#define NSIG	      64
#define SIGBIT(n)     (1ull << ((n)-1))

#define SIGHUP	      1
#define SIGINT	      2
#define SIGQUIT	      3
#define SIGILL	      4
#define SIGTRAP	      5
#define SIGABRT	      6
#define SIGBUS	      7
#define SIGFPE	      8
#define SIGKILL	      9
#define SIGSEGV	      11
#define SIGPIPE	      13
#define SIGALRM	      14
#define SIGTERM	      15
#define SIGCHLD	      17
#define SIGCONT	      18
#define SIGSTOP	      19
#define SIGTSTP	      20
#define SIGTTIN	      21
#define SIGTTOU	      22
#define SIGURG	      23
#define SIGVTALRM     26
#define SIGPROF	      27
#define SIGWINCH      28
#define SIGSYS	      31

#define SI_TIMER      (-2)

#define CLD_EXITED    1
#define CLD_KILLED    2
#define CLD_STOPPED   5
#define CLD_CONTINUED 6

#endif
