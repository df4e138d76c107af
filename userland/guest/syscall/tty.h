/* SPDX-License-Identifier: MIT */
/*
 * tty.h - terminals and their sessions
 */
#ifndef RS_SYSCALL_TTY_H
#define RS_SYSCALL_TTY_H

#include "../fs/fd.h"
#include "../proc/proc.h"

/** struct tty - a terminal that some file of the sandbox is open on; see tty.c */
struct tty {
	struct list link;
	u32 dev;		/* its device number, as stat has it; of the outer one 0 until it is known */
	u32 session;		/* whose controlling terminal it is; 0: nobody's */
	u32 foreground;		/* group in the foreground; 0: none */
	u32 files, masters;	/* open files of both its sides, and of the other one */
	struct list open;	/* those that are not of the other side */
	bool literal;		/* the last key said that the next one means nothing */
};

/** tty_outer - the terminal of the session the sandbox was started in */
extern struct tty tty_outer;

/** tty_init() - boot; @p is the first process */
void tty_init(const struct process *p);
/** tty_of() - the controlling terminal of @p, NULL without */
struct tty *tty_of(const struct process *p);
/**
 * tty_open_path() - @path is about to be opened: /dev/tty becomes the terminal of the process; -ENXIO
 * tty_opened() - it has been, as @f, with @flags; it may have become the controlling terminal by that
 */
long tty_open_path(char *path);
void tty_opened(struct file *f, const char *path, u32 flags);
/**
 * tty_before_read(), tty_before_write() - what job control says to a read and a write of @f, which has
 * a tty: 0, or the result of the call instead
 */
long tty_before_read(struct file *f);
long tty_before_write(struct file *f);
/** struct tty_keys - the characters that signal; 0 is none */
struct tty_keys {
	bool on;
	u8 intr, quit, susp, lnext;
};
/**
 * tty_keys_begin() - before bytes are written to the other side of a terminal: what they would mean.
 * tty_keys_end(): @done bytes of @v were written
 */
struct tty_keys tty_keys_begin(struct file *f);
void tty_keys_end(const struct tty_keys *k, struct file *f, const struct user_vec *v, u32 n,
		  long done);
/**
 * tty_ioctl() - what is decided here of an ioctl on @f, a file of the host; false: the host is to be
 * asked
 */
bool tty_ioctl(struct file *f, u32 cmd, u64 arg, long *ret);
/** tty_session_ends() - the leader of a session ends */
void tty_session_ends(struct process *leader);

#endif
