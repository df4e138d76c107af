/* SPDX-License-Identifier: MIT */
/*
 * program.h - which file is the program, and can it be executed? See program.c.
 */
#ifndef RS_PROGRAM_H
#define RS_PROGRAM_H

#include <stddef.h>

#define RS_PROGRAM_FILES	12

/**
 * struct rs_program - what to execute
 * @path:  absolute path of the ELF file
 * @argv:  NULL-terminated; not the caller's when @path is a script's interpreter
 * @files: the files it takes to start (program, scripts, interpreters), absolute
 */
struct rs_program {
	char *path;
	const char *const *argv;
	char *files[RS_PROGRAM_FILES];
	unsigned int nfiles;
};

/**
 * rs_program_find() - look up @name (in PATH of @envp when it has no slash), follow "#!", check
 * that it is an x86-64 ELF program Returns 0, or RS_STATUS_NOTFOUND, RS_STATUS_NOEXEC,
 * RS_STATUS_SETUP with words in @why (RS_WHY bytes). Memory is never freed.
 */
int rs_program_find(struct rs_program *p, const char *name, const char *const *argv,
		    const char *const *envp, char *why);

#endif /* RS_PROGRAM_H */
