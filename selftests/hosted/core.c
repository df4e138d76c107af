// SPDX-License-Identifier: MIT
/*
 * core.c - see core.h
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include "core.h"
#include "../../userland/guest/arch/tlb.h"
#include "../../userland/guest/mm/page_alloc.h"

#pragma weak rs_page_cpus	/* not every test links the page allocator */

u64 rs_direct_base;
struct rs_boot core_boot;
struct rs_boot *rs_boot = &core_boot;
__thread struct cpu *rs_hosted_cpu;
struct cpu rs_cpus[RS_NR_CPUS];
struct cpu_features cpu_has = { .nx = true, .xsave_size = 832 };
u32 rs_ncpus = 1;
u64 host_releases, host_released_bytes, window_maps, tlb_flushes;
bool host_map_fails, host_no_more;
int tap_tests;
jmp_buf core_panic;
char core_panic_text[1024];
bool core_panic_expected;

/* What each page of the window shows. */
static struct { int fd; u64 page; } shown[WINDOW_SIZE / PAGE_SIZE];

static u64 seed = 1;

void rnd_seed(u64 s)
{
	seed = s * 2 + 1;
}

u64 rnd(void)
{
	/* splitmix64 */
	u64 z = seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

void core_init(u64 free_gpa)
{
	const size_t size = ARENA_SIZE + WINDOW_SIZE;
	void *p;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (rs_direct_base)
		munmap((void *)rs_direct_base, size);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	CHECK(p != MAP_FAILED);
	rs_direct_base = (u64)p;
	core_boot = (struct rs_boot){
		.magic = RS_BOOT_MAGIC, .version = RS_BOOT_VERSION, .ncpus = 1,
		.arena_size = ARENA_SIZE,
		.window_gpa = WINDOW_GPA, .window_size = WINDOW_SIZE, .free_gpa = free_gpa,
	};
	static struct rs_vcpu_shared shared[RS_NR_CPUS];

	for (u32 i = 0; i < RS_NR_CPUS; i++)
		rs_cpus[i] = (struct cpu){ .id = i, .pages = &rs_page_cpus[i],
					   .shared = &shared[i] };
	core_cpu(0);
	host_releases = host_released_bytes = window_maps = 0;
	memset(shown, 0, sizeof(shown));
}

void core_cpu(unsigned int n)
{
	rs_hosted_cpu = &rs_cpus[n];
}

void rs_panic(const char *fmt, ...)
{
	char text[sizeof(core_panic_text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (core_panic_expected) {
		memcpy(core_panic_text, text, sizeof(text));
		longjmp(core_panic, 1);
	}
	printf("not ok %d - panic: %s\n", tap_tests + 1, text);
	abort();
}

void rs_printf(const char *fmt, ...)
{
	(void)fmt;
}

s64 core_fail_in = -1;
bool core_fail_all;
u64 core_failed;

bool page_alloc_injected(void)
{
	if (likely(core_fail_in < 0))
		return false;
	if (core_fail_in) {
		core_fail_in--;
		return false;
	}
	if (!core_fail_all)
		core_fail_in = -1;
	core_failed++;
	return true;
}

/* A test that simulates a TLB has its own. */
__attribute__((weak)) void tlb_flush_page(u64 va)
{
	(void)va;
	tlb_flushes++;
}

__attribute__((weak)) void tlb_flush_all(void)
{
	tlb_flushes++;
}

__attribute__((weak)) void tlb_load_root(u64 gpa)
{
	(void)gpa;
}

struct rs_file_id core_file_ids[FILES];
bool core_files_known;
long core_file_answer;

static long file_id(int fd, struct rs_file_id *to)
{
	if (fd < FILE_FD || fd >= FILE_FD + (int)FILES)
		return -EBADF;
	if (!core_files_known || core_file_answer < 0)
		return core_files_known ? core_file_answer : -ENODEV;
	*to = core_file_ids[fd - FILE_FD];
	return core_file_answer;
}

static long map_file(int fd, u64 off, u64 len, u64 gpa)
{
	if (fd < FILE_FD || fd >= FILE_FD + (int)FILES)
		return -EBADF;
	if (host_map_fails)
		return -ENOMEM;
	CHECK(gpa >= WINDOW_GPA && gpa + len <= WINDOW_GPA + WINDOW_SIZE);
	for (u64 i = 0; i < len; i += PAGE_SIZE) {
		u64 page = (off + i) / PAGE_SIZE, at = (gpa + i - WINDOW_GPA) / PAGE_SIZE;

		CHECK(!shown[at].fd, "a piece over another one");
		shown[at].fd = fd;
		shown[at].page = page;
		*(u64 *)gpa_ptr(gpa + i) =
			page < FILE_PAGES ? page + 1 + (u64)(fd - FILE_FD) * 0x10000 : 0;
	}
	window_maps++;
	return 0;
}

static long map_more(u64 gpa, u64 len, u64 to)
{
	u64 at = (gpa - WINDOW_GPA) / PAGE_SIZE;

	CHECK(gpa >= WINDOW_GPA && gpa < WINDOW_GPA + WINDOW_SIZE && shown[at].fd);
	if (host_no_more)
		return -EINVAL;
	return map_file(shown[at].fd, shown[at].page * PAGE_SIZE, len, to);
}

static void unmap_file(u64 gpa, u64 len)
{
	CHECK(window_maps--);
	memset(gpa_ptr(gpa), 0xee, len);
	memset(&shown[(gpa - WINDOW_GPA) / PAGE_SIZE], 0, len / PAGE_SIZE * sizeof(shown[0]));
}

long host_call(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
	(void)a4;
	(void)a5;
	switch (nr) {
	case RS_CALL_RELEASE:
		CHECK(a0 % HUGE_SIZE == 0 && a1 % HUGE_SIZE == 0 && a1 && a0 + a1 <= ARENA_SIZE);
		CHECK(!madvise(gpa_ptr(a0), a1, MADV_DONTNEED));
		host_releases++;
		host_released_bytes += a1;
		return 0;
	case RS_CALL_MAP_FILE:
		return map_file(a0, a1, a2, a3);
	case RS_CALL_FILE_ID:
		return file_id(a0, gpa_ptr(a1));
	case RS_CALL_UNMAP_FILE:
		unmap_file(a0, a1);
		return 0;
	case RS_CALL_MAP_MORE:
		return map_more(a0, a1, a2);
	case RS_CALL_SYNC_FILE:
		return 0;
	default:
		return -ENOSYS;
	}
}

/* mm/uaccess.h: beyond the end of the file there is nothing. */
bool copy_page_checked(void *dst, const void *src);
bool copy_page_checked(void *dst, const void *src)
{
	if (!*(const u64 *)src && (u64)src - rs_direct_base >= WINDOW_GPA)
		return false;
	memcpy(dst, src, PAGE_SIZE);
	return true;
}
