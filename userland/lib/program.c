// SPDX-License-Identifier: MIT
/*
 * From what the user typed to a file that the guest kernel can execute, or to an answer like a
 * shell's.
 *
 *	127	there is no such file
 *	126	it is there, but a directory, not executable, a text without "#!", or a program for
 *		something else than 64-bit x86 Linux
 *
 * Scripts are resolved here, as the kernel would: "#!INTERPRETER ARG" puts both before the script's
 * own path. That has to happen before the confinement, because the interpreter and its loader are
 * among the files that may be read.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "program.h"

#include "ringside/ringside.h"

#define HEAD		4096
#define SCRIPT_LINE	256	/* as in Linux */
#define SCRIPT_DEPTH	5
#define DEFAULT_PATH	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *env_value(const char *const *envp, const char *name)
{
	size_t n = strlen(name);

	for (; envp && *envp; envp++)
		if (!strncmp(*envp, name, n) && (*envp)[n] == '=')
			return *envp + n + 1;
	return NULL;
}

static char *absolute(const char *path)
{
	char *cwd, *out = NULL;

	if (path[0] == '/')
		return strdup(path);
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return NULL;
	if (asprintf(&out, "%s%s%s", cwd, strcmp(cwd, "/") ? "/" : "", path) < 0)
		out = NULL;
	free(cwd);
	return out;
}

static int add_file(struct rs_program *p, const char *path)
{
	if (p->nfiles == RS_PROGRAM_FILES)
		return -1;
	p->files[p->nfiles] = strdup(path);
	return p->files[p->nfiles] ? (p->nfiles++, 0) : -1;
}

/*
 * The first entry of PATH that holds an executable file; an entry that holds one that is not
 * executable is remembered for the message.
 */
static int search(const char *name, const char *const *envp, char **found, char *why)
{
	const char *dirs = env_value(envp, "PATH");
	char *seen = NULL;

	if (!dirs)
		dirs = DEFAULT_PATH;
	while (dirs) {
		const char *end = strchrnul(dirs, ':');
		struct stat st;
		char *path;

		if (asprintf(&path, "%.*s%s%s", (int)(end - dirs), dirs, end == dirs ? "./" : "/",
			     name) < 0)
			break;
		if (!stat(path, &st) && S_ISREG(st.st_mode)) {
			if (!access(path, X_OK)) {
				*found = absolute(path);
				free(path);
				free(seen);
				return *found ? 0 : RS_STATUS_SETUP;
			}
			if (!seen) {
				seen = path;
				path = NULL;
			}
		}
		free(path);
		dirs = *end ? end + 1 : NULL;
	}
	if (seen) {
		snprintf(why, RS_WHY, "%s: is not executable (permission)", seen);
		free(seen);
		return RS_STATUS_NOEXEC;
	}
	snprintf(why, RS_WHY, "%s: not found in PATH", name);
	return RS_STATUS_NOTFOUND;
}

static const char *machine_name(unsigned int machine, char *buf, size_t size)
{
	static const struct { unsigned int machine; const char *name;
	} names[] = {
		{ EM_386, "32-bit x86" },     { EM_ARM, "32-bit ARM" },
		{ EM_AARCH64, "64-bit ARM" }, { EM_RISCV, "RISC-V" },
		{ EM_PPC64, "64-bit POWER" }, { EM_PPC, "POWER" },
		{ EM_S390, "IBM Z" },	      { EM_MIPS, "MIPS" },
		{ EM_SPARCV9, "SPARC" },
	};
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].machine == machine)
			return names[i].name;
	snprintf(buf, size, "machine number %u", machine);
	return buf;
}

/* Is it a program for this guest? Remembers its interpreter, which must exist. */
static int check_elf(struct rs_program *p, const char *path, int fd, const unsigned char *head,
		     ssize_t n, char *why)
{
	const Elf64_Ehdr *h = (const Elf64_Ehdr *)head;
	char number[32];
	unsigned int i;

	if (n < (ssize_t)sizeof(Elf32_Ehdr)) {
		snprintf(why, RS_WHY, "%s: is a truncated ELF file", path);
		return RS_STATUS_NOEXEC;
	}
	/* e_machine lies at the same place in both classes. */
	if (h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_machine != EM_X86_64) {
		unsigned int machine = h->e_ident[EI_DATA] == ELFDATA2MSB
					       ? (h->e_machine >> 8 | h->e_machine << 8) & 0xffff
					       : h->e_machine;

		snprintf(why, RS_WHY, "%s: is a program for %s, not for 64-bit x86", path,
			 machine_name(machine, number, sizeof(number)));
		return RS_STATUS_NOEXEC;
	}
	if (h->e_ident[EI_CLASS] != ELFCLASS64) {
		snprintf(why, RS_WHY, "%s: is an x32 program; only 64-bit programs run", path);
		return RS_STATUS_NOEXEC;
	}
	if (n < (ssize_t)sizeof(*h)) {
		snprintf(why, RS_WHY, "%s: is a truncated ELF file", path);
		return RS_STATUS_NOEXEC;
	}
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN) {
		snprintf(why, RS_WHY, "%s: is an ELF file but no program (%s)", path,
			 h->e_type == ET_REL	? "an object file"
			 : h->e_type == ET_CORE ? "a core dump"
						: "of an unknown type");
		return RS_STATUS_NOEXEC;
	}
	if (h->e_phentsize != sizeof(Elf64_Phdr) || !h->e_phnum) {
		snprintf(why, RS_WHY, "%s: is an ELF file without program headers", path);
		return RS_STATUS_NOEXEC;
	}
	for (i = 0; i < h->e_phnum && i < 512; i++) {
		char interpreter[PATH_MAX];
		Elf64_Phdr ph;
		struct stat st;

		if (pread(fd, &ph, sizeof(ph), h->e_phoff + (uint64_t)i * sizeof(ph)) !=
		    sizeof(ph)) {
			snprintf(why, RS_WHY, "%s: is a truncated ELF file", path);
			return RS_STATUS_NOEXEC;
		}
		if (ph.p_type != PT_INTERP)
			continue;
		if (ph.p_filesz < 2 || ph.p_filesz >= sizeof(interpreter) ||
		    pread(fd, interpreter, ph.p_filesz, ph.p_offset) != (ssize_t)ph.p_filesz ||
		    interpreter[ph.p_filesz - 1]) {
			snprintf(why, RS_WHY,
				 "%s: names its interpreter (PT_INTERP) in a way that cannot be "
				 "read",
				 path);
			return RS_STATUS_NOEXEC;
		}
		if (stat(interpreter, &st)) {
			snprintf(why, RS_WHY, "%s: its interpreter %s: %s", path, interpreter,
				 strerror(errno));
			return RS_STATUS_NOEXEC;
		}
		if (add_file(p, interpreter))
			return RS_STATUS_SETUP;
	}
	return 0;
}

/* "#!": the interpreter's path and at most one argument; returns 0 with both in @head. */
static int parse_script(char *head, ssize_t n, char **interpreter, char **arg)
{
	char *end, *s = head + 2;

	head[n < SCRIPT_LINE ? n : SCRIPT_LINE] = 0;
	end = strchr(s, '\n');
	if (end)
		*end = 0;
	else if (n >= SCRIPT_LINE && !strpbrk(s + strspn(s, " \t"), " \t"))
		return -1;	/* the name of the interpreter itself may have been cut off */
	s += strspn(s, " \t");
	for (end = s + strlen(s); end > s && strchr(" \t\r", end[-1]);)
		*--end = 0;
	if (!*s)
		return -1;
	*interpreter = s;
	s += strcspn(s, " \t");
	*arg = NULL;
	if (*s) {
		*s++ = 0;
		*arg = s + strspn(s, " \t");
	}
	return 0;
}

int rs_program_find(struct rs_program *p, const char *name, const char *const *argv,
		    const char *const *envp, char *why)
{
	unsigned int depth, argc;
	char *path = NULL;
	int ret;

	memset(p, 0, sizeof(*p));
	p->argv = argv;
	if (!*name) {
		snprintf(why, RS_WHY, "the program's name is empty");
		return RS_STATUS_NOTFOUND;
	}
	if (strchr(name, '/')) {
		path = absolute(name);
	} else {
		ret = search(name, envp, &path, why);
		if (ret)
			return ret;
	}
	for (depth = 0; path; depth++) {
		static char head[HEAD + 1] __attribute__((aligned(8)));
		const char *const *old = p->argv;
		const char **args;
		char *interpreter, *arg;
		struct stat st;
		ssize_t n;
		int fd;

		if (stat(path, &st)) {
			ret = errno;
			if (depth)
				snprintf(why, RS_WHY,
					 "%s: the interpreter its first line names: %s: %s",
					 p->files[p->nfiles - 1], path, strerror(ret));
			else
				snprintf(why, RS_WHY, "%s: %s", path, strerror(ret));
			return (ret == ENOENT || ret == ENOTDIR) && !depth ? RS_STATUS_NOTFOUND
									   : RS_STATUS_NOEXEC;
		}
		if (!S_ISREG(st.st_mode)) {
			snprintf(why, RS_WHY, "%s: is %s, not a program", path,
				 S_ISDIR(st.st_mode) ? "a directory" : "no regular file");
			return RS_STATUS_NOEXEC;
		}
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (fd < 0) {
			snprintf(why, RS_WHY, "%s: cannot be read: %s", path, strerror(errno));
			return RS_STATUS_NOEXEC;
		}
		n = pread(fd, head, HEAD, 0);
		if (n < 0) {
			snprintf(why, RS_WHY, "%s: cannot be read: %s", path, strerror(errno));
			close(fd);
			return RS_STATUS_NOEXEC;
		}
		head[n] = 0;
		/* What it is says more than the missing permission: look at it first. */
		if (n >= 4 && !memcmp(head, ELFMAG, SELFMAG)) {
			ret = check_elf(p, path, fd, (unsigned char *)head, n, why);
			close(fd);
			if (ret)
				return ret;
			if (access(path, X_OK)) {
				snprintf(why, RS_WHY,
					 "%s: is not executable (permission): chmod +x would make "
					 "it so",
					 path);
				return RS_STATUS_NOEXEC;
			}
			if (add_file(p, path))
				break;
			p->path = path;
			return 0;
		}
		close(fd);
		if (n < 2 || head[0] != '#' || head[1] != '!') {
			snprintf(why, RS_WHY, "%s: is %s, not a program", path,
				 !n ? "empty"
				 : memchr(head, 0, n)
					 ? "a data file"
					 : "a text file without \"#!\" in its first line");
			return RS_STATUS_NOEXEC;
		}
		if (access(path, X_OK)) {
			snprintf(why, RS_WHY,
				 "%s: is not executable (permission): chmod +x would make it so",
				 path);
			return RS_STATUS_NOEXEC;
		}
		if (depth == SCRIPT_DEPTH) {
			snprintf(why, RS_WHY,
				 "%s: scripts that interpret scripts, more than %d deep", path,
				 SCRIPT_DEPTH);
			return RS_STATUS_NOEXEC;
		}
		if (parse_script(head, n, &interpreter, &arg)) {
			snprintf(why, RS_WHY, "%s: its first line names no interpreter", path);
			return RS_STATUS_NOEXEC;
		}
		/* argv becomes: interpreter, its argument if any, the script, the rest. */
		for (argc = 0; old[argc];)
			argc++;
		args = calloc(argc + 4, sizeof(*args));
		if (!args || add_file(p, path))
			break;
		argc = 0;
		args[argc++] = strdup(interpreter);
		if (arg)
			args[argc++] = strdup(arg);
		args[argc++] = path;
		while (*old && *++old)
			args[argc++] = *old;
		p->argv = args;
		path = absolute(interpreter);
	}
	snprintf(why, RS_WHY, "out of memory");
	return RS_STATUS_SETUP;
}
