// SPDX-License-Identifier: MIT
/*
 * report.c - the death report
 *
 * What happened in words, the registers, and where: each address as "symbol+offset (file)" where
 * the file has symbols. Symbols are read now, from the files the VMAs name; they may have been
 * replaced meanwhile, be cut off or lie. Everything read is checked, and the worst a bad file can
 * do is a wrong name.
 *
 * The backtrace follows saved frame pointers. A program compiled without them gives a short or a
 * wrong one; only addresses in executable memory are shown.
 */
#include <asm/stat.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include "report.h"
#include "sched.h"
#include "elf.h"
#include "../arch/trap.h"
#include "../lib/signo.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"
#include "../mm/uaccess.h"

#define MAX_FRAMES	32
#define MAX_REPEATS	1000000u	/* frames of one recursion that are counted */
#define CHUNK		16384u		/* bytes of symbols read at a time */
#define MAX_SYMBOLS	500000u
#define NAME_MAX_LEN	128

static const struct {
	u8 sig;
	const char *name, *text;
} signals[] = {
	{ 3, "SIGQUIT", "quit" },
	{ 4, "SIGILL", "invalid instruction" },
	{ 5, "SIGTRAP", "trap" },
	{ 6, "SIGABRT", "aborted" },
	{ 7, "SIGBUS", "bus error" },
	{ 8, "SIGFPE", "arithmetic error" },
	{ 9, "SIGKILL", "killed" },
	{ 11, "SIGSEGV", "invalid memory access" },
	{ 31, "SIGSYS", "bad system call" },
};

static const char *signal_entry(int sig, bool text)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signals); i++)
		if (signals[i].sig == sig)
			return text ? signals[i].text : signals[i].name;
	return text ? "signal" : "a signal";
}

bool report_is_bug(int sig)
{
	return sig == SIGILL || sig == SIGTRAP || sig == SIGBUS || sig == SIGFPE || sig == SIGSEGV ||
	       sig == SIGSYS;
}

static const char *vector_text(u32 vector)
{
	switch (vector) {
	case VEC_DE:
		return "integer division by zero, or its result does not fit";
	case VEC_DB:
		return "single step or hardware breakpoint";
	case VEC_BP:
		return "breakpoint";
	case VEC_UD:
		return "invalid or forbidden instruction";
	case VEC_GP:
		return "privileged instruction, or access to a non-canonical address";
	case VEC_SS:
		return "access through the stack pointer to a non-canonical address";
	case VEC_AC:
		return "unaligned access";
	case VEC_MF:
	case VEC_XM:
		return "floating-point exception";
	default:
		return "exception";
	}
}

/* --- symbols ---------------------------------------------------------------------------------- */

struct symfile {
	int fd;
	u64 size;
	u8 *buf;	/* CHUNK bytes */
};

static bool read_at(const struct symfile *f, void *buf, size_t n, u64 off)
{
	return host_call4(__NR_pread64, f->fd, gpa_of(buf), n, off) == (long)n;
}

/* The address in the ELF file's own terms of what lies at @off in the file. */
static bool file_to_vaddr(const struct elf_image *img, u64 off, u64 *vaddr)
{
	u32 i;

	for (i = 0; i < img->nloads; i++) {
		const struct elf_load *l = &img->load[i];

		if (off >= (l->offset & PAGE_MASK) && off < l->offset + l->filesz) {
			*vaddr = off - l->offset + l->vaddr;
			return true;
		}
	}
	return false;
}

/* Name of the function at file offset @off; @name has NAME_MAX_LEN bytes. */
static bool find_symbol(struct symfile *f, u64 off, char *name, u64 *delta)
{
	struct elf_best best = { .found = false };
	struct elf_symtab st;
	struct elf_image *img;
	const char *why;
	Elf64_Ehdr eh;
	u64 addr = 0, i, n, left;
	bool ok = false;

	img = kmalloc(sizeof(*img));
	if (!img)
		return false;
	if (!read_at(f, &eh, sizeof(eh), 0) || elf_parse_header(img, &eh, sizeof(eh), f->size,
								&why) ||
	    (u64)img->phnum * sizeof(Elf64_Phdr) > CHUNK ||
	    !read_at(f, f->buf, img->phnum * sizeof(Elf64_Phdr), img->phoff) ||
	    elf_parse_phdrs(img, f->buf, f->size, &why) || !file_to_vaddr(img, off, &addr))
		goto out;
	if (eh.e_shentsize != sizeof(Elf64_Shdr) || (u64)eh.e_shnum * sizeof(Elf64_Shdr) > CHUNK ||
	    !eh.e_shnum || !read_at(f, f->buf, eh.e_shnum * sizeof(Elf64_Shdr), eh.e_shoff) ||
	    !elf_find_symtab(&st, f->buf, eh.e_shnum, f->size))
		goto out;
	left = min(st.nsyms, (u64)MAX_SYMBOLS);
	for (i = 0; left; i += n, left -= n) {
		n = min(left, (u64)(CHUNK / sizeof(Elf64_Sym)));
		if (!read_at(f, f->buf, n * sizeof(Elf64_Sym), st.sym_off + i * sizeof(Elf64_Sym)))
			goto out;
		elf_best_symbol(&best, f->buf, n, addr);
	}
	if (!best.found || best.name >= st.str_size)
		goto out;
	n = min(st.str_size - best.name, (u64)NAME_MAX_LEN - 1);
	if (!read_at(f, name, n, st.str_off + best.name))
		goto out;
	name[n] = 0;
	for (i = 0; name[i]; i++)
		if (name[i] < 0x20 || name[i] > 0x7e)
			name[i] = '?';
	*delta = addr - best.value;
	/* Far behind the end of a function is not in it. */
	ok = name[0] && (!best.size || *delta < best.size + 16);
out:
	kfree(img);
	return ok;
}

static bool symbol_of(const struct vma *v, u64 addr, char *name, u64 *delta)
{
	struct stat *st = host_bounce();
	struct symfile f = { .fd = -1 };
	const char *path;
	size_t n;
	char *copy;
	bool ok = false;

	if (!v->file || !v->file->name)
		return false;
	path = refstr_text(v->file->name);
	n = strlen(path) + 1;
	copy = kmalloc(n);
	f.buf = kmalloc(CHUNK);
	if (copy && f.buf) {
		memcpy(copy, path, n);
		while ((f.fd = host_call4(__NR_openat, process_cwd(current_proc()), gpa_of(copy),
					  O_RDONLY | O_CLOEXEC, 0)) == -EINTR)
			host_events();
	}
	if (f.fd >= 0) {
		if (host_call2(__NR_fstat, f.fd, gpa_of(st)) == 0) {
			f.size = st->st_size;
			ok = find_symbol(&f, v->file->offset + v->file_off + (addr - v->start),
					 name, delta);
		}
		host_call1(__NR_close, f.fd);
	}
	kfree(copy);
	kfree(f.buf);
	return ok;
}

/* --- text ------------------------------------------------------------------------------------- */

/* "0x401136 main+0x16 (/bin/prog)" */
static void put_address(struct textbuf *t, struct mm *mm, u64 addr)
{
	struct vma *v = mm_find(mm, addr);
	char name[NAME_MAX_LEN];
	u64 delta;

	text_printf(t, "%#lx", addr);
	if (!v) {
		text_printf(t, " (not mapped)");
		return;
	}
	if (symbol_of(v, addr, name, &delta))
		text_printf(t, " %s+%#lx", name, delta);
	if (v->file && v->file->name)
		text_printf(t, " (%s+%#lx)", refstr_text(v->file->name),
			    v->file->offset + v->file_off + addr - v->start);
	else if (v->flags & VM_FIXED_KERNEL)
		text_printf(t, " (vdso)");
	else
		text_printf(t, " (anonymous memory)");
}

/* What lies at @addr, or what is nearest. */
static void put_area(struct textbuf *t, struct mm *mm, u64 addr)
{
	struct vma *v = mm_find(mm, addr);

	if (v) {
		text_printf(t, "in %#lx-%#lx %c%c%c%c %s\n", v->start, v->end, v->flags & VM_READ ?
			    'r' : '-',
			    v->flags & VM_WRITE ? 'w' : '-', v->flags & VM_EXEC ? 'x' : '-',
			    v->flags & VM_SHARED ? 's' : 'p',
			    v->file ? refstr_text(v->file->name) : v->flags & VM_BRK ? "heap" :
			    v->flags & VM_GROWSDOWN ? "stack" : "anonymous memory");
		return;
	}
	if (addr < 65536) {
		text_printf(t, "a null pointer, or near one\n");
		return;
	}
	v = mm_find_from(mm, addr);
	if (v && v->start - addr <= (64ul << 20))
		text_printf(t, "%#lx bytes below %#lx-%#lx%s\n", v->start - addr, v->start, v->end,
			    v->flags & VM_GROWSDOWN ? " (stack)" : "");
	else
		text_printf(t, "nothing is mapped near it\n");
}

static void put_registers(struct textbuf *t, const struct rs_frame *f)
{
	text_printf(t, "  rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx\n", f->rax, f->rbx, f->rcx,
		    f->rdx);
	text_printf(t, "  rsi %016lx  rdi %016lx  rbp %016lx  rsp %016lx\n", f->rsi, f->rdi, f->rbp,
		    f->rsp);
	text_printf(t, "  r8  %016lx  r9  %016lx  r10 %016lx  r11 %016lx\n", f->r8, f->r9, f->r10,
		    f->r11);
	text_printf(t, "  r12 %016lx  r13 %016lx  r14 %016lx  r15 %016lx\n", f->r12, f->r13, f->r14,
		    f->r15);
	text_printf(t, "  rip %016lx  flags %08lx  fs %016lx\n", f->rip, f->rflags, user_fs_base());
}

static bool is_code(struct mm *mm, u64 addr)
{
	struct vma *v = mm_find(mm, addr);

	return v && v->flags & VM_EXEC;
}

/*
 * Whoever is at @rip has no frame: after a wild jump, on a function's first instruction, or in a
 * function that does not begin by saving rbp (behind ENDBR64, if there is one).
 */
static bool no_frame(struct mm *mm, u64 rip)
{
	struct vma *v = mm_find(mm, rip);
	char name[NAME_MAX_LEN];
	u8 code[5];
	u64 delta;

	if (!v || !(v->flags & VM_EXEC))
		return true;
	if (!symbol_of(v, rip, name, &delta))
		return false;
	if (!delta || copyin(code, rip - delta, sizeof(code)))
		return true;
	return code[0] != 0x55 && !(code[0] == 0xf3 && code[1] == 0x0f && code[4] == 0x55);
}

static void put_backtrace(struct textbuf *t, struct mm *mm, const struct rs_frame *f)
{
	u64 fp = f->rbp, low = f->rsp, pair[2], ret, last = 0, repeats = 0;
	int n = 0;

	text_printf(t, "  backtrace (by frame pointers):\n");
	text_printf(t, "   #%-2d ", n++);
	put_address(t, mm, f->rip);
	text_putc(t, '\n');
	/* Without a frame of its own yet, the caller's address is still on top of the stack. */
	if (no_frame(mm, f->rip) && !copyin(&ret, f->rsp, sizeof(ret)) && is_code(mm, ret)) {
		text_printf(t, "   #%-2d ", n++);
		put_address(t, mm, ret);
		text_printf(t, " (from the top of the stack)\n");
	}
	for (; n < MAX_FRAMES; n++) {
		if (fp < low || fp % 8 || copyin(pair, fp, sizeof(pair)) || !is_code(mm, pair[1]))
			break;
		low = fp + 1;
		fp = pair[0];
		if (pair[1] == last) {
			repeats++;
			n--;	/* recursion: counted, not listed */
			if (repeats < MAX_REPEATS)
				continue;
			break;
		}
		if (repeats)
			text_printf(t, "       ... %lu more of the same\n", repeats);
		repeats = 0;
		last = pair[1];
		text_printf(t, "   #%-2d ", n);
		/* The call, not what follows it, which may be another function. */
		put_address(t, mm, pair[1] - 1);
		text_putc(t, '\n');
	}
	if (repeats)
		text_printf(t, "       ... %lu more of the same\n", repeats);
}

void report_death(struct thread *th, int sig, const struct fault_info *fault)
{
	/* Static: when memory has run out there is most to say. One process dies at a time. */
	static char text[16384];
	struct textbuf t = TEXTBUF(text);
	const struct rs_frame *f = th->frame;
	struct mm *mm = th->proc->mm;

	if (!mm) {
		rs_report("ringside: %s (pid %u) died of %s\n", th->proc->comm, th->proc->pid,
			  signal_entry(sig, false));
		return;
	}
	text_printf(&t, "ringside: %s (pid %u) died of %s: ", th->proc->comm, th->proc->pid,
		    signal_entry(sig, false));
	if (!fault)
		text_printf(&t, "%s, sent by itself\n", signal_entry(sig, true));
	else if (fault->cause == FAULT_OTHER || !fault->cause)
		text_printf(&t, "%s\n", vector_text(fault->vector));
	else
		text_printf(&t, "%s\n", fault_cause_text(fault->cause));
	if (fault && fault->cause && fault->cause != FAULT_OTHER) {
		text_printf(&t, "  address %#lx: ", fault->addr);
		put_area(&t, mm, fault->addr);
	}
	text_printf(&t, "  at ");
	put_address(&t, mm, f->rip);
	text_putc(&t, '\n');
	put_registers(&t, f);
	put_backtrace(&t, mm, f);
	rs_report_text(RS_CONSOLE_REPORT, &t);
}
