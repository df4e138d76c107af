// SPDX-License-Identifier: MIT
/*
 * lifetime_test.c - descriptors closed in every order, processes that fork, exec and die, and the
 * module's own lifetime
 *
 * That everything is freed is seen from outside: the module's use count goes back to what it was,
 * vm/run unloads the module when the command is done and looks at the kernel's log, and the leak
 * kernel looks for lost memory.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "testvm.h"

/* Descriptors and processes that use the module now. */
static long refcount(void)
{
	FILE *f = fopen("/sys/module/ringside/refcnt", "re");
	long n = -1;

	if (!f)
		SKIP("the module is not loaded as a module");
	if (fscanf(f, "%ld", &n) != 1)
		n = -1;
	fclose(f);
	return n;
}

/* Files are closed by deferred work at times: wait for it, but not for ever. */
static void await_refcount(long want)
{
	struct timespec now, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += 10;
	do {
		if (refcount() == want)
			return;
		sched_yield();
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec <= end.tv_sec);
	FAIL("use count %ld, not %ld", refcount(), want);
}

static int status_of(pid_t pid)
{
	int status;

	SYS(waitpid(pid, &status, 0));
	return status;
}

static void *spin_thread(void *arg)
{
	tcpu_run_raw(arg);
	return NULL;
}

/*
 * The four things that keep a VM: device, VM and vCPU descriptors, the mapped run page. In each of
 * the 24 orders.
 */
TEST(every_order)
{
	long before = refcount();

	for (int order = 0; order < 256; order++) {
		int done = 0;
		struct tvm *vm;
		struct tcpu *c;

		/* a permutation of 0..3, two bits each */
		for (int i = 0; i < 4; i++)
			done |= 1 << (order >> 2 * i & 3);
		if (done != 15)
			continue;
		vm = tvm_new(0);
		c = tcpu_new(vm, 0);
		tcpu_call(c, G_EXIT_DELTA, 3);
		EXPECT_GT(refcount(), before);
		for (int i = 0; i < 4; i++) {
			switch (order >> 2 * i & 3) {
			case 0:
				SYS(close(vm->dev));
				break;
			case 1:
				SYS(close(vm->fd));
				break;
			case 2:
				SYS(close(c->fd));
				break;
			case 3:
				/* the page is the process's until it lets go of it */
				c->run->irq_vector = 1;
				SYS(munmap(c->run, PAGE));
				break;
			}
		}
		munmap(vm->mem, G_ARENA);
		await_refcount(before);
	}
}

/* A vCPU works without the other descriptors and the other way round. */
TEST(vcpu_outlives_the_vm_descriptor)
{
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 0), *d = tcpu_new(vm, 1);

	close(vm->dev);
	close(vm->fd);
	EXPECT_EQ(tcpu_call(c, G_EXIT_DELTA, 5), 6);
	close(d->fd);
	EXPECT_EQ(tcpu_call(c, G_EXIT_DELTA, 5), 6);
}

/*
 * Descriptors closed by one thread while another is in the guest: the run goes on, its reference
 * keeps all, until the kernel has other work for the thread; then the descriptor it comes back with
 * means nothing.
 */
TEST(close_while_running)
{
	long before = refcount();
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 0);
	pthread_t t;

	tcpu_start(c, G_WRITER, G_SCRATCH, G_SCRATCH + PAGE, G_SCRATCH + 2 * PAGE);
	ASSERT_EQ(pthread_create(&t, NULL, spin_thread, c), 0);
	await_progress(vm, G_SCRATCH + 2 * PAGE, 1000);
	close(vm->dev);
	close(vm->fd);
	close(c->fd);
	*tvm_at(vm, G_SCRATCH + PAGE) = 1;
	pthread_join(t, NULL);
	/* the run may have ended between the guest's two stores */
	EXPECT_EQ(*tvm_at(vm, G_SCRATCH) - *tvm_at(vm, G_SCRATCH + 2 * PAGE) <= 1, 1);
	munmap(c->run, PAGE);
	await_refcount(before);
}

TEST(two_vms_in_one_process)
{
	struct tvm *a = tvm_new(0), *b = tvm_new(0);
	struct tcpu *ca = tcpu_new(a, 0), *cb = tcpu_new(b, 0);

	*tvm_at(a, G_SCRATCH) = 1;
	*tvm_at(b, G_SCRATCH) = 2;
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(tcpu_call(ca, G_LOAD, G_SCRATCH), 1);
		EXPECT_EQ(tcpu_call(cb, G_LOAD, G_SCRATCH), 2);
		tcpu_call(ca, G_STORE, G_SCRATCH + 8, i);
		EXPECT_EQ(*tvm_at(b, G_SCRATCH + 8), 0);
	}
	tvm_close(a);
	close(ca->fd);
	EXPECT_EQ(tcpu_call(cb, G_LOAD, G_SCRATCH), 2);
}

/* Two processes, each with a VM of its own, at the same guest addresses. */
TEST(two_processes)
{
	pid_t pid[2];

	for (uint64_t i = 0; i < 2; i++) {
		pid[i] = SYS(fork());
		if (!pid[i]) {
			struct tvm *vm = tvm_new(0);
			struct tcpu *c = tcpu_new(vm, 0);

			*tvm_at(vm, G_SCRATCH) = 100 + i;
			for (int k = 0; k < 200; k++)
				ASSERT_EQ(tcpu_call(c, G_LOAD, G_SCRATCH), 100 + i);
			test_leave();
		}
	}
	EXPECT_EQ(status_of(pid[0]), 0);
	EXPECT_EQ(status_of(pid[1]), 0);
}

/*
 * The child's copies of the descriptors keep the VM's shell alive after the parent is dead, and
 * nothing works with them.
 */
TEST(fork_child_outlives_the_parent)
{
	long before = refcount();
	int to_parent[2], to_child[2];
	pid_t pid;
	char ch;

	SYS(pipe(to_parent));
	SYS(pipe(to_child));
	pid = SYS(fork());
	if (!pid) {
		struct tvm *vm = tvm_new(0);
		struct tcpu *c = tcpu_new(vm, 0);
		struct rs_stats stats;

		tcpu_call(c, G_NULL);
		if (SYS(fork()) > 0)
			_exit(0);
		/* the grandchild: its parent, whose VM it is, dies */
		SYS(read(to_child[0], &ch, 1));
		EXPECT_ERRNO(ioctl(c->fd, RS_RUN, 0), EPERM);
		EXPECT_ERRNO(ioctl(c->fd, RS_KICK, 0), EPERM);
		EXPECT_ERRNO(ioctl(vm->fd, RS_GET_VM_STATS, &stats), EPERM);
		close(c->fd);
		close(vm->fd);
		/* a VM of its own works beside it */
		{
			struct tvm *own = tvm_new(0);

			EXPECT_EQ(tcpu_call(tcpu_new(own, 0), G_EXIT_DELTA, 1), 2);
		}
		ch = 'k';
		SYS(write(to_parent[1], &ch, 1));
		test_leave();
	}
	EXPECT_EQ(status_of(pid), 0);
	EXPECT_GT(refcount(), before);
	SYS(write(to_child[1], "g", 1));
	close(to_parent[1]);
	EXPECT_EQ(read(to_parent[0], &ch, 1), 1);
	await_refcount(before);
}

/* exec ends the address space: the descriptors are closed by it, the VM is gone. */
TEST(exec)
{
	long before = refcount();
	pid_t pid = SYS(fork());

	if (!pid) {
		struct tvm *vm = tvm_new(0);
		struct tcpu *c = tcpu_new(vm, 0);

		tcpu_call(c, G_NULL);
		execlp("sh", "sh", "-c", "ls -l /proc/self/fd 2>&1 | grep -q ringside", NULL);
		_exit(99);
	}
	/* grep finds none: status 1 */
	EXPECT_EQ(status_of(pid), 1 << 8);
	await_refcount(before);
}

/* A descriptor that survives exec is of an address space that is gone. */
TEST(descriptor_over_exec)
{
	long before = refcount();
	pid_t pid = SYS(fork());

	if (!pid) {
		struct tvm *vm = tvm_new(0);
		struct tcpu *c = tcpu_new(vm, 0);
		char cmd[64];

		tcpu_call(c, G_NULL);
		fcntl(c->fd, F_SETFD, 0);
		fcntl(vm->fd, F_SETFD, 0);
		snprintf(cmd, sizeof(cmd), "exec sleep 1 <&%d >&%d", c->fd, vm->fd);
		execlp("sh", "sh", "-c", cmd, NULL);
		_exit(99);
	}
	EXPECT_EQ(status_of(pid), 0);
	await_refcount(before);
}

/*
 * SIGKILL in the middle of an endless loop in the guest, ring 0 and ring 3, with one thread and
 * with several.
 */
TEST(kill_in_the_guest)
{
	long before = refcount();

	for (int round = 0; round < 6; round++) {
		uint64_t *progress = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		pid_t pid;

		ASSERT(progress != MAP_FAILED);
		pid = SYS(fork());
		if (!pid) {
			struct tvm *vm = tvm_new(0);
			pthread_t t;

			/* the counter is in memory that this process shares with its parent */
			SYS(tvm_region_raw(vm, 1ul << 30, PAGE, progress, 0));
			*tvm_pte(vm, G_SCRATCH) = (1ul << 30) | 7;
			for (int i = 0; i < 1 + round % 3; i++) {
				struct tcpu *c = tcpu_new(vm, i);

				if (round == 5) {
					uint64_t code = tcpu_call(c, G_USER_CODE, GU_LOOP);

					tcpu_call(c, G_STORE, G_SCRATCH, 2000);
					tcpu_start(c, G_USER, code);
				} else {
					tcpu_start(c, G_SPIN, G_SCRATCH);
				}
				pthread_create(&t, NULL, spin_thread, c);
			}
			pthread_join(t, NULL);
			_exit(0);
		}
		while (*(volatile uint64_t *)progress < 1000)
			sched_yield();
		SYS(kill(pid, SIGKILL));
		EXPECT_EQ(status_of(pid), SIGKILL);
		await_refcount(before);
		munmap(progress, PAGE);
	}
}

/* The process ends by itself, with vCPUs of other threads in the guest. */
TEST(exit_with_running_vcpus)
{
	long before = refcount();

	for (int how = 0; how < 3; how++) {
		pid_t pid = SYS(fork());

		if (!pid) {
			struct tvm *vm = tvm_new(0);
			pthread_t t;

			for (int i = 0; i < 2; i++) {
				struct tcpu *c = tcpu_new(vm, i);

				tcpu_start(c, G_SPIN, G_SCRATCH + i * PAGE);
				pthread_create(&t, NULL, spin_thread, c);
			}
			await_progress(vm, G_SCRATCH, 1000);
			await_progress(vm, G_SCRATCH + PAGE, 1000);
			if (how == 0)
				_exit(7);
			if (how == 1)
				abort();
			execlp("sh", "sh", "-c", "exit 7", NULL);
		}
		EXPECT_EQ(status_of(pid) & ~0x80, how == 1 ? SIGABRT : 7 << 8);
		await_refcount(before);
	}
}

/* While anything is open the module cannot go; it can always be opened again afterwards. */
TEST(unload_is_refused_while_in_use)
{
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 0);
	int left[3] = { vm->dev, vm->fd, c->fd };

	if (refcount() < 3)
		SKIP("the module cannot be unloaded by its use count");
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(syscall(SYS_delete_module, "ringside", O_NONBLOCK), -1);
		EXPECT(errno == EAGAIN || errno == EWOULDBLOCK || errno == EBUSY);
		if (i < 2)
			close(left[i]);
	}
	EXPECT_EQ(tcpu_call(c, G_NULL), 0);
}

/* Hundreds of VMs one after the other, and many at once. */
TEST(many_vms)
{
	long before = refcount();
	struct rs_vm_config cfg = { 0 };
	int dev = dev_open(), fd[100];

	for (int i = 0; i < 30; i++) {
		struct tvm *vm = tvm_new(0);
		struct tcpu *c = tcpu_new(vm, i % RS_MAX_VCPUS);

		tcpu_call(c, G_NULL);
		tcpu_close(c);
		tvm_close(vm);
	}
	for (int i = 0; i < 100; i++)
		fd[i] = SYS(ioctl(dev, RS_CREATE_VM, &cfg));
	for (int i = 0; i < 100; i++)
		close(fd[i]);
	close(dev);
	await_refcount(before);
}
