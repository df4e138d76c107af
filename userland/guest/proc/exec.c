// SPDX-License-Identifier: MIT
/*
 * exec.c - replacing the program of the current process
 *
 * In order: open the file and whatever it needs to be run by (script interpreters first, then the
 * ELF file, then its dynamic linker), check all of it, build a complete new address space beside
 * the old one (segments as mappings of the file, stack, arguments), and only then let go of the old
 * one. Until that point any error leaves the process as it was, except that CR3 has to be put back.
 *
 * A file is mapped into the file window once, as a whole range; its segments are VMAs of that
 * piece. Nothing is read from it beyond headers: pages come on first touch.
 *
 * The stack as the ABI wants it, from the top: program name, environment and argument strings,
 * random bytes, platform name; then, 16-byte aligned, auxiliary vector, envp, argv, argc.
 */
#include <asm/stat.h>
#include <asm/unistd.h>
#include <linux/auxvec.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <ringside_app.h>
#include "exec.h"
#include "elf.h"
#include "sched.h"
#include "../lib/assert.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"
#include "../mm/mm_internal.h"
#include "../mm/uaccess.h"

#define ARG_LONGEST	131072ul	/* bytes of one argument with its NUL, as on Linux: E2BIG above */
#define MAX_SCRIPTS	4		/* interpreters of interpreters: ELOOP above */
#define HEAD_SIZE	sizeof(((struct rs_program_file *)NULL)->head)
#define PIE_BASE	0x555555554000ul /* two thirds of the address space, as in Linux */
#define STACK_VMA	(132ul << 10)	/* what the stack's VMA has at first */
#define STACK_RANDOM	(16ul << 30)	/* the stack's top lies so far below the end at most */
#define NAUX		24

#define S_ISREG_MODE(m)	(((m) & 0170000) == 0100000)

/** struct binary - an opened executable */
struct binary {
	int fd;
	struct refstr *name;
	struct elf_image img;
	struct rs_program_file *file; /* what the host says of it */
	u8 *head;		/* its first bytes, in @file */
	size_t head_len;
};

/** struct loader - state of one exec */
struct loader {
	struct process *proc;
	struct mm *mm;		/* being built */
	int dirfd;
	struct exec_args *args;
	struct binary prog, interp;
	bool has_interp;
	char *path;		/* of what is executed: PATH_MAX buffer */
	const char *why;	/* reason in words, for the user, or NULL */
	u64 rnd[8];
	unsigned int rnd_used;
	u64 bias, interp_bias;
	u64 sp, execfn;
};

#define PATH_SIZE	4096

/* --- arguments -------------------------------------------------------------------------------- */

void exec_args_init(struct exec_args *a)
{
	*a = (struct exec_args){ 0 };
}

void exec_args_free(struct exec_args *a)
{
	kfree(a->data);
	exec_args_init(a);
}

/* Room for @n more bytes. */
static long args_grow(struct exec_args *a, size_t n)
{
	size_t size = a->size ? a->size : 1024;
	char *p;

	if (n > EXEC_ARG_MAX || a->len + n > EXEC_ARG_MAX)
		return -E2BIG;
	while (size < a->len + n)
		size *= 2;
	if (size == a->size)
		return 0;
	p = krealloc(a->data, size);
	if (!p)
		return -ENOMEM;
	a->data = p;
	a->size = size;
	return 0;
}

long exec_args_add(struct exec_args *a, const char *s, bool env)
{
	size_t n = strlen(s) + 1;
	long err = args_grow(a, n);

	if (err)
		return err;
	memcpy(a->data + a->len, s, n);
	a->len += n;
	if (env)
		a->envc++;
	else
		a->argc++;
	return 0;
}

/* One NULL-ended array of user pointers. */
static long copyin_vector(struct exec_args *a, u64 array, u32 *count)
{
	u64 ptr;
	long n;

	for (; array; array += sizeof(ptr)) {
		if (get_user_u64(&ptr, array))
			return -EFAULT;
		if (!ptr)
			break;
		/* The pointers on the new stack count as well. */
		if ((u64)(a->argc + a->envc + 1) * sizeof(ptr) + a->len > EXEC_ARG_MAX)
			return -E2BIG;
		n = args_grow(a, 256);
		while (!n) {
			n = copyinstr(a->data + a->len, ptr, min(a->size - a->len, ARG_LONGEST));
			if (n != -ENAMETOOLONG)
				break;
			if (a->size - a->len >= ARG_LONGEST)
				return -E2BIG;
			n = args_grow(a, a->size - a->len + 1);
		}
		if (n < 0)
			return n;
		a->len += n + 1;
		++*count;
	}
	return 0;
}

long exec_args_copyin(struct exec_args *a, u64 argv, u64 envp)
{
	long err = copyin_vector(a, argv, &a->argc);

	if (!err && !a->argc)
		err = exec_args_add(a, "", false);	/* as Linux: argv[0] is always there */
	return err ? err : copyin_vector(a, envp, &a->envc);
}

/* Puts @s in front of all arguments. */
static long args_prepend(struct exec_args *a, const char *s)
{
	size_t n = strlen(s) + 1;
	long err = args_grow(a, n);

	if (err)
		return err;
	memmove(a->data + n, a->data, a->len);
	memcpy(a->data, s, n);
	a->len += n;
	a->argc++;
	return 0;
}

static void args_drop_first(struct exec_args *a)
{
	size_t n = strlen(a->data) + 1;

	memmove(a->data, a->data + n, a->len - n);
	a->len -= n;
	a->argc--;
}

/* --- files ------------------------------------------------------------------------------------ */

static void binary_close(struct binary *b)
{
	if (b->fd >= 0)
		host_call1(__NR_close, b->fd);
	refstr_put(b->name);
	kfree(b->file);
	*b = (struct binary){ .fd = -1 };
}

static long read_file(const struct binary *b, void *buf, size_t n, u64 off)
{
	if (off <= b->head_len && n <= b->head_len - off) {
		memcpy(buf, b->head + off, n);
		return n;
	}
	return host_call4(__NR_pread64, b->fd, gpa_of(buf), n, off);
}

/*
 * Opens @path for execution and reads its beginning; one request to the host. @real: room for the
 * path that the file lies at, empty where that is not known; or NULL.
 */
static long binary_open(struct loader *l, struct binary *b, const char *path, char *real)
{
	b->file = kmalloc(sizeof(*b->file));
	if (!b->file)
		return -ENOMEM;
	/*
	 * What is announced to this CPU brings the call back; no signal interrupts an exec, so it is
	 * made again. A FIFO would have it wait for ever.
	 */
	do {
		host_events();
		b->fd = host_call4(RS_CALL_OPEN_PROGRAM, l->dirfd, gpa_of(path), gpa_of(b->file),
				   real ? gpa_of(real) : 0);
	} while (b->fd == -EINTR);
	if (b->fd < 0)
		return b->fd;
	b->name = refstr_new(real && *real ? real : path);
	if (!b->name)
		return -ENOMEM;
	if (!S_ISREG_MODE(b->file->mode)) {
		l->why = "not a regular file";
		return -EACCES;
	}
	if (!(b->file->mode & 0111) || b->file->access == -EACCES) {
		l->why = "not executable (permissions)";
		return -EACCES;
	}
	if (b->file->head_len < 0)
		return b->file->head_len;
	b->head = b->file->head;
	b->head_len = b->file->head_len;
	return 0;
}

static long binary_parse(struct loader *l, struct binary *b)
{
	size_t n;
	void *ph;
	long ret;

	ret = elf_parse_header(&b->img, b->head, b->head_len, b->file->id.size, &l->why);
	if (ret)
		return ret;
	n = b->img.phnum * sizeof(Elf64_Phdr);
	if (b->img.phoff + n <= b->head_len)
		return elf_parse_phdrs(&b->img, b->head + b->img.phoff, b->file->id.size,
				       &l->why);
	ph = kmalloc(n);
	if (!ph)
		return -ENOMEM;
	ret = read_file(b, ph, n, b->img.phoff);
	if (ret == (long)n)
		ret = elf_parse_phdrs(&b->img, ph, b->file->id.size, &l->why);
	else if (ret >= 0)
		ret = -ENOEXEC;
	kfree(ph);
	return ret;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/*
 * "#! interpreter argument": the program becomes the interpreter, its arguments the optional
 * argument, the script's path, and what the script was given. l->path is the script on entry, the
 * interpreter after.
 */
static long script(struct loader *l)
{
	char *s = (char *)l->prog.head, *end, *arg = NULL, *e;
	size_t n = min(l->prog.head_len, (size_t)HEAD_SIZE - 1);
	long err;

	s[n] = 0;
	end = memchr(s, '\n', n);
	if (!end)
		end = s + strnlen(s, n);
	*end = 0;
	for (s += 2; is_blank(*s); s++)
		;
	for (e = end; e > s && (is_blank(e[-1]) || e[-1] == '\r'); )
		*--e = 0;
	if (!*s) {
		l->why = "script whose first line names no interpreter";
		return -ENOEXEC;
	}
	for (e = s; *e && !is_blank(*e); e++)
		;
	if (*e) {
		*e++ = 0;
		while (is_blank(*e))
			e++;
		arg = e;
	}
	if (l->args->argc)
		args_drop_first(l->args);
	err = args_prepend(l->args, l->path);
	if (!err && arg)
		err = args_prepend(l->args, arg);
	if (!err)
		err = args_prepend(l->args, s);
	if (!err && rs_strlcpy(l->path, s, PATH_SIZE) >= PATH_SIZE)
		err = -ENAMETOOLONG;
	return err;
}

/*
 * Opens l->path, following script lines, until an ELF file is in l->prog. Its name, for reports and
 * /proc/self/exe, is where it lies; @real is room for that.
 */
static long open_program(struct loader *l, char *real)
{
	int depth;
	long err;

	for (depth = 0; ; depth++) {
		err = binary_open(l, &l->prog, l->path, real);
		if (err)
			return err;
		if (l->prog.head_len < 2 || l->prog.head[0] != '#' || l->prog.head[1] != '!')
			break;
		if (depth == MAX_SCRIPTS)
			return -ELOOP;
		err = script(l);
		/* interpreters are named from where the process is */
		l->dirfd = process_cwd(l->proc);
		binary_close(&l->prog);
		if (err)
			return err;
	}
	if (!l->prog.head_len)
		l->why = "the file is empty";
	return l->prog.head_len ? binary_parse(l, &l->prog) : -ENOEXEC;
}

/* The dynamic linker the program asks for. */
static long open_interp(struct loader *l)
{
	const struct elf_image *img = &l->prog.img;
	char *name;
	long err;

	if (!img->interp_len)
		return 0;
	l->dirfd = process_cwd(l->proc);
	name = kmalloc(img->interp_len);
	if (!name)
		return -ENOMEM;
	err = read_file(&l->prog, name, img->interp_len, img->interp_off);
	if (err == (long)img->interp_len && !name[img->interp_len - 1]) {
		err = binary_open(l, &l->interp, name, NULL);
		if (err == -ENOENT)
			l->why = "its dynamic linker does not exist";
	} else {
		l->why = "ELF file with a bad interpreter name";
		err = -ENOEXEC;
	}
	if (!err) {
		err = binary_parse(l, &l->interp);
		if (err == -ENOEXEC)
			err = -ELIBBAD;
	}
	if (!err && l->interp.img.interp_len) {
		l->why = "dynamic linker that needs a dynamic linker";
		err = -ELIBBAD;
	}
	kfree(name);
	l->has_interp = !err;
	return err;
}

/* --- the new address space -------------------------------------------------------------------- */

/*
 * Random bytes, the host's: what comes with the boot page is the first program's, then several
 * programs' worth is fetched at once (of 256 bytes Linux gives all or none). Nothing of it is used
 * twice or stays where it was.
 */
static void fill_random(struct loader *l)
{
	static u64 kept[4][8];
	static u32 left;
	static bool boot_used;
	u64 *r = (u64 *)rs_boot->random;
	long n = 0;

	while (boot_used && !left && (n = host_call3(__NR_getrandom, gpa_of(kept), sizeof(kept),
						     0)) == -EINTR)
		host_events();
	if (n == sizeof(kept))
		left = ARRAY_SIZE(kept);
	if (left)
		r = kept[--left];
	memcpy(l->rnd, r, sizeof(l->rnd));
	if (r != (u64 *)rs_boot->random)
		memset(r, 0, sizeof(l->rnd));
	boot_used = true;
}

/* A page-aligned random distance below @range; 0 when addresses are not to be randomised. */
static u64 random_pages(struct loader *l, u64 range)
{
	if (rs_boot->flags & RS_BOOT_NO_ASLR)
		return 0;
	return l->rnd[2 + l->rnd_used++ % 6] % (range >> PAGE_SHIFT) << PAGE_SHIFT;
}

static bool new_mm(struct loader *l)
{
	struct mm *old = l->proc->mm, *mm = mm_create();
	u64 gap;

	if (!mm)
		return false;
	l->mm = mm;
	mm->limit_as = old ? old->limit_as : ~0ull;
	mm->limit_data = old ? old->limit_data : ~0ull;
	mm->limit_stack = old ? old->limit_stack : rs_boot->stack_limit ? rs_boot->stack_limit :
			  8ul << 20;
	mm->stack_top = USER_TOP - random_pages(l, STACK_RANDOM);
	/* Room for the stack to grow to its limit, within reason, below any top it may have had. */
	gap = min(max(mm->limit_stack, 128ul << 20), USER_TOP / 6 * 5 - STACK_RANDOM);
	mm->mmap_base = ALIGN_DOWN(USER_TOP - STACK_RANDOM - STACK_GAP - gap, PAGE_SIZE) -
			random_pages(l, 1ul << 40);
	return true;
}

/*
 * One segment, at @bias. The bytes of the last page behind the file's part are cleared, which makes
 * that page a copy, where the segment is writable; pages that have no part in the file are
 * anonymous.
 */
static long map_segment(struct loader *l, const struct elf_load *s, struct file_map *file,
			u64 file_start,
			u64 bias)
{
	u64 start = (s->vaddr & PAGE_MASK) + bias, end = page_up(s->vaddr + s->memsz) + bias;
	u64 file_end = s->vaddr + s->filesz + bias, mid = s->filesz ? page_up(file_end) : start;
	u32 flags = s->prot | VM_MAYWRITE;

	if (start < MMAP_MIN) {
		l->why = "ELF segment below the lowest address that a program may use";
		return -ENOEXEC;
	}
	if (prot_refused(s->prot)) {
		l->why = "ELF segment that is both writable and executable: refused without --allow-wx";
		return -EACCES;
	}
	if (!range_free(l->mm, start, end))
		return -ENOMEM;
	if (mid > start && !vma_add(l->mm, start, mid, flags, file_map_get(file),
				    (s->offset & PAGE_MASK) - file_start)) {
		file_map_put(file);
		return -ENOMEM;
	}
	if (end > mid && !vma_add(l->mm, mid, end, flags, NULL, 0))
		return -ENOMEM;
	if (s->memsz > s->filesz && mid > file_end && s->prot & PROT_WRITE &&
	    clearout(file_end, mid - file_end)) {
		if (current()->no_memory)
			return -ENOMEM;
		l->why = "ELF file cut off: a page of a segment cannot be read";
		return -ENOEXEC;
	}
	return 0;
}

/* All segments of @b at @bias; the address space is active. */
static long map_binary(struct loader *l, struct binary *b, u64 bias)
{
	const struct elf_image *img = &b->img;
	u64 lo = ~0ull, hi = 0;
	struct file_map *file;
	long err = 0;
	u32 i;

	for (i = 0; i < img->nloads; i++) {
		if (!img->load[i].filesz)
			continue;
		lo = min(lo, (u64)img->load[i].offset & PAGE_MASK);
		hi = max(hi, page_up(img->load[i].offset + img->load[i].filesz));
	}
	if (hi <= lo) {
		l->why = "ELF file with nothing in it to load";
		return -ENOEXEC;
	}
	file = file_map_known(b->fd, &b->file->id, !b->file->unsure, lo, hi - lo, b->name);
	if (IS_ERR(file))
		return PTR_ERR(file);
	for (i = 0; i < img->nloads && !err; i++)
		err = map_segment(l, &img->load[i], file, lo, bias);
	file_map_put(file);
	return err;
}

/* Where a relocatable image goes: @base for the program, free space for its dynamic linker. */
static long place_binary(struct loader *l, const struct elf_image *img, u64 base, u64 *bias)
{
	u64 size = img->high - img->low, at;

	*bias = 0;
	if (!img->relocatable)
		return 0;
	at = base ? ALIGN_DOWN(base, img->align) : find_free(l->mm, size + img->align);
	if (!at || size > USER_TOP || at > USER_TOP - size)
		return -ENOMEM;
	*bias = ALIGN_UP(at, img->align) - img->low;
	return 0;
}

static long map_program(struct loader *l)
{
	const struct elf_image *img = &l->prog.img;
	u64 base, end = 0;
	long err;
	u32 i;

	/*
	 * A static PIE is put where mappings go, its heap behind it has room below the stack's gap
	 * then; a program with a dynamic linker at the traditional place.
	 */
	base = PIE_BASE + random_pages(l, 1ul << 40);
	err = place_binary(l, img, base, &l->bias);
	if (!err)
		err = map_binary(l, &l->prog, l->bias);
	if (err)
		return err;
	for (i = 0; i < img->nloads; i++)
		end = max(end, page_up(img->load[i].vaddr + img->load[i].memsz) + l->bias);
	if (l->has_interp) {
		err = place_binary(l, &l->interp.img, 0, &l->interp_bias);
		if (!err)
			err = map_binary(l, &l->interp, l->interp_bias);
		if (err)
			return err;
	}
	l->mm->brk_start = l->mm->brk = end + random_pages(l, 32ul << 20);
	return 0;
}

/* The host's vDSO with its data pages before it, where it is offered. */
static long map_vdso(struct loader *l)
{
	static struct file_map vdso_map;
	u64 size = rs_boot->vvar_size + rs_boot->vdso_size, at;

	if (!rs_boot->vdso_gpa || !rs_boot->vdso_size ||
	    (size | rs_boot->vvar_size | rs_boot->vdso_gpa) & ~PAGE_MASK)
		return 0;
	if (!vdso_map.refs)
		vdso_map = (struct file_map){ .refs = 1,
					      .gpa = rs_boot->vdso_gpa - rs_boot->vvar_size,
					      .size = size };
	at = find_free(l->mm, size);
	if (!at)
		return 0;
	/* The piece is for ever: references that a failure leaves do no harm. */
	if (rs_boot->vvar_size && !vma_add(l->mm, at, at + rs_boot->vvar_size,
					   VM_READ | VM_FIXED_KERNEL,
					   file_map_get(&vdso_map), 0))
		return -ENOMEM;
	at += rs_boot->vvar_size;
	if (!vma_add(l->mm, at, at + rs_boot->vdso_size, VM_READ | VM_EXEC | VM_FIXED_KERNEL,
		     file_map_get(&vdso_map), rs_boot->vvar_size))
		return -ENOMEM;
	l->mm->vdso = at;
	return 0;
}

/* --- the new stack ---------------------------------------------------------------------------- */

static long push(struct loader *l, const void *data, size_t n)
{
	l->sp -= n;
	return copyout(l->sp, data, n);
}

struct aux {
	u64 v[NAUX][2];
	unsigned int n;
};

static void aux_add(struct aux *a, u64 type, u64 value)
{
	ASSERT(a->n < NAUX);
	a->v[a->n][0] = type;
	a->v[a->n++][1] = value;
}

static void aux_fill(struct loader *l, struct aux *a, u64 platform, u64 random)
{
	const struct elf_image *img = &l->prog.img;
	const struct process *p = l->proc;

	if (l->mm->vdso)
		aux_add(a, AT_SYSINFO_EHDR, l->mm->vdso);
	aux_add(a, AT_MINSIGSTKSZ, cpu_has.xsave_size + 1024);
	aux_add(a, AT_HWCAP, rs_boot->hwcap);
	aux_add(a, AT_PAGESZ, PAGE_SIZE);
	aux_add(a, AT_CLKTCK, 100);
	if (img->phdr_vaddr)
		aux_add(a, AT_PHDR, img->phdr_vaddr + l->bias);
	aux_add(a, AT_PHENT, sizeof(Elf64_Phdr));
	aux_add(a, AT_PHNUM, img->phnum);
	aux_add(a, AT_BASE, l->has_interp ? l->interp_bias : 0);
	aux_add(a, AT_FLAGS, 0);
	aux_add(a, AT_ENTRY, img->entry + l->bias);
	aux_add(a, AT_UID, p->uid);
	aux_add(a, AT_EUID, p->euid);
	aux_add(a, AT_GID, p->gid);
	aux_add(a, AT_EGID, p->egid);
	aux_add(a, AT_SECURE, 0);
	aux_add(a, AT_RANDOM, random);
	aux_add(a, AT_HWCAP2, rs_boot->hwcap2);
	aux_add(a, AT_EXECFN, l->execfn);
	aux_add(a, AT_PLATFORM, platform);
	aux_add(a, AT_RINGSIDE, (u64)RS_APP_ABI << 32 | RS_APP_UPCALL | RS_APP_PAGES |
		RS_APP_PAGE_TABLES | RS_APP_ALARM | RS_APP_PROCESSES | RS_APP_IPC);
	aux_add(a, AT_NULL, 0);
}

/* argc, then pointers to the strings at @strings, each array ended by NULL. */
static long put_vectors(struct loader *l, u64 at, u64 strings)
{
	const struct exec_args *a = l->args;
	const char *s = a->data;
	u64 null = 0;
	u32 i;

	if (put_user_u64(at, a->argc))
		return -EFAULT;
	at += 8;
	l->mm->arg_start = strings;
	for (i = 0; i <= a->argc + a->envc; i++) {
		if (i == a->argc) {
			if (put_user_u64(at, null))
				return -EFAULT;
			at += 8;
			l->mm->arg_end = l->mm->env_start = strings;
		}
		if (i == a->argc + a->envc)
			break;
		if (put_user_u64(at, strings))
			return -EFAULT;
		at += 8;
		strings += strlen(s) + 1;
		s += strlen(s) + 1;
	}
	l->mm->env_end = strings;
	return put_user_u64(at, null);
}

static long build_stack(struct loader *l)
{
	static const char platform[] = "x86_64";
	struct exec_args *a = l->args;
	u64 need = a->len + (u64)(a->argc + a->envc + 3) * 8 + sizeof(struct aux) + PATH_SIZE + 256;
	u64 limit = l->mm->limit_stack, strings, platform_at, random, size;
	struct aux aux = { .n = 0 };
	long err;

	if (need > max(limit / 4, 128ul << 10) || need > limit)
		return -E2BIG;
	size = min(max(page_up(need) + PAGE_SIZE, STACK_VMA), ALIGN_DOWN(limit, PAGE_SIZE));
	if (!vma_add(l->mm, l->mm->stack_top - size, l->mm->stack_top,
		     VM_READ | VM_WRITE | VM_MAYWRITE | VM_GROWSDOWN, NULL, 0))
		return -ENOMEM;
	l->sp = l->mm->stack_top - 8;
	err = push(l, l->path, strlen(l->path) + 1);
	l->execfn = l->sp;
	if (!err)
		err = push(l, a->data, a->len);
	strings = l->sp;
	if (!(rs_boot->flags & RS_BOOT_NO_ASLR))
		l->sp -= l->rnd[7] % 256 * 16;
	l->sp &= ~15ul;
	if (!err)
		err = push(l, platform, sizeof(platform));
	platform_at = l->sp;
	if (!err)
		err = push(l, l->rnd, 16);
	random = l->sp;

	aux_fill(l, &aux, platform_at, random);
	l->sp = (l->sp - aux.n * 16 - (u64)(a->argc + a->envc + 3) * 8) & ~15ul;
	if (!err)
		err = put_vectors(l, l->sp, strings);
	if (!err)
		err = copyout(l->sp + (u64)(a->argc + a->envc + 3) * 8, aux.v, aux.n * 16);
	return err == -EFAULT ? -ENOMEM : err;
}

/* --- the whole -------------------------------------------------------------------------------- */

static long load(struct loader *l)
{
	char *real = kmalloc(PATH_SIZE);
	long err = real ? open_program(l, real) : -ENOMEM;

	kfree(real);
	if (!err)
		err = open_interp(l);
	if (err)
		return err;
	fill_random(l);
	if (!new_mm(l))
		return -ENOMEM;
	mm_activate(l->mm);
	err = map_program(l);
	if (!err)
		err = map_vdso(l);
	if (!err)
		err = build_stack(l);
	return err;
}

/* The process is the new program from here on. */
static long commit(struct loader *l, struct rs_frame *frame)
{
	struct process *p = l->proc;
	struct mm *old = p->mm;
	const char *name = strrchr(l->path, '/');
	long err;

	/* The other threads end in their own address space. */
	if (old)
		mm_activate(old);
	err = process_single_thread();
	if (err)
		return err;
	if (old)
		syscall_exec_leaves(current());
	p->mm = l->mm;
	mm_activate(l->mm);
	if (old)
		mm_put(old);
	refstr_put(p->exe);
	p->exe = refstr_get(l->prog.name);
	rs_strlcpy(p->comm, name ? name + 1 : l->path, sizeof(p->comm));
	set_user_fs_base(0);
	set_user_gs_base(0);
	fpu_init_user();
	*frame = (struct rs_frame){
		.vector = RS_VECTOR_RESTORED,
		.rip = l->has_interp ? l->interp.img.entry + l->interp_bias :
		l->prog.img.entry + l->bias,
		.cs = USER_CS,
		.rsp = l->sp,
		.ss = USER_SS,
	};
	frame_set_flags(frame, 0);
	current()->clear_child_tid = 0;
	current()->robust_list = 0;
	current()->rseq = 0;
	rs_stats()->execs++;
	syscall_exec_done(p);
	return 0;
}

/*
 * The path of what is to be executed, into l->path. The host's /proc/self is not the process: its
 * own program is known here, and a relative path is made absolute for it, because it must still
 * hold when the working directory has changed.
 */
static long set_path(struct loader *l, const char *path)
{
	const struct process *p = l->proc;

	if (p->exe && (!strcmp(path, "/proc/self/exe") || !strcmp(path, "/proc/thread-self/exe")))
		path = refstr_text(p->exe);
	if (!*path)
		return -ENOENT;
	return rs_strlcpy(l->path, path, PATH_SIZE) < PATH_SIZE ? 0 : -ENAMETOOLONG;
}

long proc_exec(struct process *p, int dirfd, const char *path, struct exec_args *args,
	       struct rs_frame *frame)
{
	struct loader *l = kzalloc(sizeof(*l));
	long err;

	if (!l)
		return -ENOMEM;
	current()->no_memory = false;
	l->proc = p;
	l->dirfd = dirfd;
	l->args = args;
	l->prog.fd = l->interp.fd = -1;
	l->path = kmalloc(PATH_SIZE);
	err = l->path ? set_path(l, path) : -ENOMEM;
	if (!err)
		err = load(l);
	if (!err)
		err = commit(l, frame);
	if (err) {
		if (l->mm) {
			mm_activate(p->mm);
			mm_put(l->mm);
		}
		if (l->why && !p->mm)
			rs_report("ringside: %s: %s\n", path, l->why);
	}
	binary_close(&l->prog);
	binary_close(&l->interp);
	kfree(l->path);
	kfree(l);
	return err;
}
