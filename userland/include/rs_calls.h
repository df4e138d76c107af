/* SPDX-License-Identifier: MIT */
/*
 * rs_calls.h - the vocabulary of rs_calls.def: what an argument of a system call is, as one integer
 *
 * A descriptor is kind | param << 8. Guest kernel (translation, --trace) and host library
 * (validation, seccomp) read the same numbers, so that neither can forget an argument the other
 * knows. All names carry the prefix A_, R_, P_ or RS_SET_, since the table is included next to
 * system headers.
 */
#ifndef RS_CALLS_H
#define RS_CALLS_H

/*
 * What the host sees is said for each kind; GPA: contiguous guest physical memory inside the arena
 * or the window.
 */
enum rs_arg_kind {
	RS_A_NO,	/* unused: the host gets 0 */
	RS_A_INT,	/* signed 32-bit number, sign extended */
	RS_A_LONG,	/* signed 64-bit number */
	RS_A_UINT,	/* unsigned number */
	RS_A_HEX,
	RS_A_FLAGS,	/* param: enum rs_set; --trace prints it symbolically. Otherwise RS_A_HEX */
	RS_A_FD,	/* descriptor; the host's */
	RS_A_DFD,	/* descriptor or AT_FDCWD */
	RS_A_PATH,	/* GPA of a NUL-terminated string, at most 4096 bytes with the NUL */
	RS_A_PATHN,	/* the same, or 0 */
	/*
	 * GPA of a NUL-terminated string that is not a path (name of an attribute, of a memfd), at
	 * most 256 bytes
	 */
	RS_A_STR,
	RS_A_IN,	/* GPA of param bytes that are read, or 0 */
	RS_A_OUT,	/* GPA of param bytes that are written, or 0 */
	RS_A_INOUT,
	/* GPA of bytes to read; the length is argument number param; 0 when the length is 0 */
	RS_A_BUFIN,
	RS_A_BUFOUT,	/* the same to be written; the result says how many bytes were */
	/*
	 * the same as BUFIN but at most 64 KiB and taken whole (socket addresses, options,
	 * attributes), or 0
	 */
	RS_A_BLKIN,
	/*
	 * as BLKIN, at most 128 bytes: a socket address; other than 0 only where P_NET is granted
	 */
	RS_A_ADDR,
	/*
	 * GPA to be written, or 0; its size is the 32-bit number that argument param (RS_A_LENP)
	 * points to, at most 64 KiB
	 */
	RS_A_BLKOUTP,
	RS_A_LENP,	/* GPA of a 32-bit length, read and written, or 0 */
	/* array of elements of (param >> 4) bytes, count in argument (param & 15) */
	RS_A_ARROUT,
	RS_A_ARRINOUT,
	/*
	 * struct pollfd array (count in argument param) with host descriptors in it; negative ones
	 * are to be ignored
	 */
	RS_A_POLLFDS,
	/*
	 * struct iovec array (count in argument param, at most 1024); iov_base are GPAs as in
	 * BUFIN
	 */
	RS_A_IOVIN,
	RS_A_IOVOUT,
	/*
	 * struct msghdr: msg_name, msg_iov, msg_control and the iov_base are GPAs; SCM_RIGHTS
	 * holds host descriptors
	 */
	RS_A_MSGIN,
	RS_A_MSGOUT,
	RS_A_FDPAIR,	/* GPA of two ints that receive new host descriptors */
	RS_A_OFFP,	/* GPA of a 64-bit file offset, read and written, or 0 */
	/*
	 * ioctl command; the next argument is as rs_ioctls.def says. A command not in there is
	 * ENOTTY
	 */
	RS_A_IOCTL,
	/*
	 * fcntl command; the next argument is as rs_ioctls.def says. A command not in there is
	 * EINVAL
	 */
	RS_A_FCNTL,
	RS_A_BYCMD,	/* the argument after RS_A_IOCTL or RS_A_FCNTL */
	/*
	 * pointer of which only the value matters (calls answered in the guest; never seen by the
	 * host)
	 */
	RS_A_PTR,
};

#define RS_ARG_KIND(d)		((d) & 0xff)
#define RS_ARG_PARAM(d)		((d) >> 8)

#define A_NO		RS_A_NO
#define A_INT		RS_A_INT
#define A_LONG		RS_A_LONG
#define A_UINT		RS_A_UINT
#define A_HEX		RS_A_HEX
#define A_FLAGS(set)	(RS_A_FLAGS | RS_SET_##set << 8)
#define A_FD		RS_A_FD
#define A_DFD		RS_A_DFD
#define A_PATH		RS_A_PATH
#define A_PATHN		RS_A_PATHN
#define A_STR		RS_A_STR
#define A_IN(n)		(RS_A_IN | (n) << 8)
#define A_OUT(n)	(RS_A_OUT | (n) << 8)
#define A_INOUT(n)	(RS_A_INOUT | (n) << 8)
#define A_BUFIN(k)	(RS_A_BUFIN | (k) << 8)
#define A_BUFOUT(k)	(RS_A_BUFOUT | (k) << 8)
#define A_BLKIN(k)	(RS_A_BLKIN | (k) << 8)
#define A_ADDR(k)	(RS_A_ADDR | (k) << 8)
#define A_BLKOUTP(k)	(RS_A_BLKOUTP | (k) << 8)
#define A_LENP		RS_A_LENP
#define A_ARROUT(k, n)	(RS_A_ARROUT | ((n) << 4 | (k)) << 8)
#define A_ARRINOUT(k, n) (RS_A_ARRINOUT | ((n) << 4 | (k)) << 8)
#define A_POLLFDS(k)	(RS_A_POLLFDS | (k) << 8)
#define A_IOVIN(k)	(RS_A_IOVIN | (k) << 8)
#define A_IOVOUT(k)	(RS_A_IOVOUT | (k) << 8)
#define A_MSGIN		RS_A_MSGIN
#define A_MSGOUT	RS_A_MSGOUT
#define A_FDPAIR	RS_A_FDPAIR
#define A_OFFP		RS_A_OFFP
#define A_IOCTL		RS_A_IOCTL
#define A_FCNTL		RS_A_FCNTL
#define A_BYCMD		RS_A_BYCMD
#define A_PTR		RS_A_PTR

/* Symbol sets for --trace */
enum rs_set {
	RS_SET_OPEN, RS_SET_MODE, RS_SET_PROT, RS_SET_MAP, RS_SET_AT, RS_SET_ACCESS, RS_SET_CLOCK,
	RS_SET_SIGNAL, RS_SET_WHENCE,
	RS_SET_FAMILY, RS_SET_SOCK, RS_SET_MSG, RS_SET_MADV, RS_SET_SIGHOW, RS_SET_FUTEX,
	RS_SET_RLIMIT, RS_SET_GRND, RS_SET_PRCTL,
	RS_SET_ARCH, RS_SET_EPOLL, RS_SET_FLOCK, RS_SET_FCNTL, RS_SET_IOCTL,
	RS_SET_CLONE, RS_SET_WAIT, RS_SET_IDTYPE, RS_SET_SIGACTION, RS_SET_COUNT
};

/* What the result is */
enum rs_ret { RS_R_INT, RS_R_FD, RS_R_HEX };
#define R_INT		RS_R_INT
/* a new host descriptor; the guest gives it the lowest free number of the process */
#define R_FD		RS_R_FD
#define R_HEX		RS_R_HEX	/* an address; --trace */

enum rs_policy {
	RS_P_IO,	/* on descriptors one already has, or harmless */
	RS_P_PATH,	/* Landlock decides */
	/* changes metadata that Landlock does not cover: the library decides by the --rw roots */
	RS_P_META,
	RS_P_NET,	/* needs --net host */
	RS_P_PROC,	/* about processes */
	RS_P_SYS,	/* system administration */
	RS_P_NEVER,	/* reaches too much of the kernel whatever the options */
};
#define P_IO		RS_P_IO
#define P_PATH		RS_P_PATH
#define P_META		RS_P_META
#define P_NET		RS_P_NET
#define P_PROC		RS_P_PROC
#define P_SYS		RS_P_SYS
#define P_NEVER		RS_P_NEVER

#endif /* RS_CALLS_H */
