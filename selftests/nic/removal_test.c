// SPDX-License-Identifier: MIT
/*
 * removal_test.c - the interface, its namespace, the VM, the process and the module go in every order,
 * while frames go both ways as fast as they can, and while guest memory does not answer
 *
 * What is looked for is mostly not here: the kernel's log (vm/run), and that the module unloads.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "link.h"

#define ALL	(RCTL_BAM | RCTL_UPE | RCTL_MPE | RCTL_SECRC | RCTL_LPE)

/* --- load ----------------------------------------------------------------- */

struct load {
	struct nic *n;
	pthread_t linux_side, guest_side;
	int stop;
	uint64_t sent, received;		/* by the guest */
};

/* Linux sends as long as there is an interface; errors are part of the game. */
static void *linux_sends(void *arg)
{
	struct load *l = arg;
	uint8_t frame[1500];
	int fd = packet_socket(l->n->name);

	make_frame(frame, sizeof(frame), 1);
	while (!__atomic_load_n(&l->stop, __ATOMIC_RELAXED)) {
		int ret = send_frame_raw(fd, l->n->name, frame, 60 + rand() % 1400);

		if (ret == -ENXIO || ret == -ENODEV)
			break;
		if (ret)
			sched_yield();
	}
	close(fd);
	return NULL;
}

static void *guest_works(void *arg)
{
	struct load *l = arg;
	uint8_t frame[2048];

	make_frame(frame, 1000, 2);
	while (!__atomic_load_n(&l->stop, __ATOMIC_RELAXED)) {
		bool any = false;

		if (guest_send(l->n, frame, 60 + rand() % 900)) {
			l->sent++;
			any = true;
		}
		while (guest_recv(l->n, frame, sizeof(frame)) >= 0) {
			l->received++;
			any = true;
		}
		if (!any)
			sched_yield();
		make_frame(frame, 14, 2);
	}
	return NULL;
}

static struct nic *nic_running(void)
{
	struct nic *n = nic_new();

	dev_up(n->name, true);
	nic_setup(n, ALL);
	WAIT_FOR(dev_carrier(n->name));
	return n;
}

/* Both sides busy, and some frames have gone each way. */
static void load_start(struct load *l, struct nic *n)
{
	*l = (struct load){ .n = n };
	ASSERT_EQ(pthread_create(&l->linux_side, NULL, linux_sends, l), 0);
	ASSERT_EQ(pthread_create(&l->guest_side, NULL, guest_works, l), 0);
	WAIT_FOR(dev_stat(n->name, "rx_packets") >= 100 && dev_stat(n->name, "tx_packets") >= 100);
}

static void load_stop(struct load *l)
{
	__atomic_store_n(&l->stop, 1, __ATOMIC_RELAXED);
	pthread_join(l->linux_side, NULL);
	pthread_join(l->guest_side, NULL);
}

/* --- orders --------------------------------------------------------------- */

TEST(interface_first)
{
	unsigned int i;

	own_network();
	for (i = 0; i < test_rounds(8); i++) {
		struct nic *n = nic_running();
		struct load l;

		load_start(&l, n);
		EXPECT_EQ(link_del_raw(n->name), 0);
		EXPECT(!dev_exists(n->name));
		load_stop(&l);
		/* the NIC answers, without a link, and is done with what the guest sends */
		EXPECT_EQ(nic_read(n, REG_STATUS) & STATUS_LU, 0);
		WAIT_FOR(n->page->tx_head == n->page->tx_tail);
		nic_close(n);
	}
}

TEST(vm_first)
{
	unsigned int i;

	own_network();
	for (i = 0; i < test_rounds(8); i++) {
		struct nic *n = nic_running();
		struct load l;

		load_start(&l, n);
		/* the vCPU's thread may be in the guest, and rings for a NIC that moves nothing */
		__atomic_store_n(&l.stop, i % 2, __ATOMIC_RELAXED);
		close(n->vm->fd);
		EXPECT(!dev_exists(n->name));
		load_stop(&l);
		nic_read(n, REG_STATUS);
		/* the last of three: descriptor of the vCPU, its mapping */
		close(n->cpu->fd);
		munmap(n->cpu->run, PAGE);
	}
}

TEST(up_and_down)
{
	struct nic *n;
	struct load l;
	unsigned int i;

	own_network();
	n = nic_running();
	load_start(&l, n);
	for (i = 0; i < test_rounds(40); i++) {
		dev_up(n->name, false);
		if (i & 1)
			EXPECT_EQ(dev_mtu_raw(n->name, i & 2 ? 1500 : 9000), 0);
		dev_up(n->name, true);
	}
	load_stop(&l);
	nic_close(n);
	EXPECT(!dev_exists("rs0"));
}

/* The driver writes wild tails under traffic: the rings stop, and are set up anew. */
TEST(wild_tails)
{
	uint8_t frame[128], got[2048];
	struct nic *n;
	struct load l;
	unsigned int i;
	int fd;

	own_network();
	n = nic_running();
	fd = packet_socket(n->name);
	make_frame(frame, 100, 77);
	load_start(&l, n);
	for (i = 0; i < test_rounds(40); i++) {
		__atomic_store_n(&n->page->rx_tail, i % 3 ? i : 0x10000 + i, __ATOMIC_RELEASE);
		__atomic_store_n(&n->page->tx_tail, i % 5 ? i % RING : ~0u, __ATOMIC_RELEASE);
		usleep(500);
	}
	load_stop(&l);
	n->page->rx_tail = RING;
	n->page->tx_tail = RING;
	for (i = 0; i < 2 * RING; i++)
		send_frame_raw(fd, n->name, frame, 100);
	EXPECT_EQ(nic_doorbell(n), 0);
	WAIT_FOR(n->page->stopped == 3);
	close(fd);
	nic_setup(n, ALL);
	EXPECT_EQ(n->page->stopped, 0);
	fd = packet_socket(n->name);
	ASSERT(guest_send(n, frame, 100));
	EXPECT_EQ(next_frame(fd, got, sizeof(got)), 100);
	nic_close(n);
}

TEST(memory_changes)
{
	struct nic *n;
	struct load l;
	unsigned int i;

	own_network();
	n = nic_running();
	load_start(&l, n);
	for (i = 0; i < test_rounds(20); i++) {
		SYS(madvise(n->vm->mem + NIC_RX_BUFS, RING * RX_BUF, MADV_DONTNEED));
		SYS(mprotect(n->vm->mem + NIC_RX_BUFS, RING * RX_BUF, PROT_READ));
		usleep(300);
		SYS(mprotect(n->vm->mem + NIC_RX_BUFS, RING * RX_BUF, PROT_READ | PROT_WRITE));
	}
	load_stop(&l);
	nic_close(n);
}

/* When the removal of a region has returned, nothing of the NIC comes there any more. */
TEST(regions_go)
{
	static uint8_t was[RING * RX_BUF];
	struct nic *n;
	struct load l;
	unsigned int i;

	own_network();
	n = nic_running();
	for (i = 0; i < test_rounds(20); i++) {
		l = (struct load){ .n = n };
		ASSERT_EQ(pthread_create(&l.linux_side, NULL, linux_sends, &l), 0);
		WAIT_FOR(n->page->rx_head != 0);
		SYS(tvm_unregion_raw(n->vm, 0, G_ARENA));
		memcpy(was, n->vm->mem + NIC_RX_BUFS, sizeof(was));
		usleep(5000);
		EXPECT(!memcmp(was, n->vm->mem + NIC_RX_BUFS, sizeof(was)));
		__atomic_store_n(&l.stop, 1, __ATOMIC_RELAXED);
		pthread_join(l.linux_side, NULL);
		SYS(tvm_region_raw(n->vm, 0, G_ARENA, n->vm->mem, 0));
		nic_setup(n, ALL);
	}
	nic_close(n);
}

/* A process that is killed in the middle of it leaves nothing. */
TEST(process_killed)
{
	unsigned int i;

	own_network();
	for (i = 0; i < test_rounds(8); i++) {
		int pipes[2], pid, status;
		char c;

		SYS(pipe(pipes));
		pid = SYS(fork());
		if (!pid) {
			struct load l;

			load_start(&l, nic_running());
			ASSERT_EQ(write(pipes[1], "x", 1), 1);
			for (;;)
				pause();
		}
		close(pipes[1]);
		ASSERT_EQ(read(pipes[0], &c, 1), 1);
		EXPECT(dev_exists("rs0"));
		kill(pid, SIGKILL);
		SYS(waitpid(pid, &status, 0));
		EXPECT(!dev_exists("rs0"));	/* at once: the next one may want the name */
		close(pipes[0]);
	}
}

/* The interface lives in a namespace that goes while the VM stays. */
TEST(namespace_first)
{
	struct nic *n;
	struct load l;
	int old = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), i;

	if (old < 0 || unshare(CLONE_NEWNET))
		SKIP("no network namespaces");
	for (i = 0; i < 3; i++) {
		int status, pid = SYS(fork());

		if (!pid) {
			SYS(unshare(CLONE_NEWNET));
			n = nic_running();
			load_start(&l, n);
			if (i == 2)
				_exit(0);	/* both at once */
			load_stop(&l);
			SYS(setns(old, CLONE_NEWNET));
			/* nobody has the namespace any more; it goes in the background */
			WAIT_FOR(!(nic_read(n, REG_STATUS) & STATUS_LU));
			EXPECT_EQ(link_del_raw("rs0"), -ENODEV);
			nic_close(n);
			_exit(0);
		}
		SYS(waitpid(pid, &status, 0));
		EXPECT_EQ(status, 0);
	}
}

TEST(module_stays_while_it_is_used)
{
	struct nic *n;

	own_network();
	n = nic_running();
	EXPECT_ERRNO(syscall(SYS_delete_module, "ringside", O_NONBLOCK), EAGAIN);
	EXPECT_EQ(link_del_raw(n->name), 0);
	EXPECT_ERRNO(syscall(SYS_delete_module, "ringside", O_NONBLOCK), EAGAIN);
	nic_close(n);
}

/*
 * One page of the receive buffers is behind a userfaultfd that nobody answers: the worker waits there.
 * That is nobody's business but this VM's: the network's side goes on, and the VM can be ended.
 */
TEST(memory_that_does_not_answer)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg;
	struct pollfd p;
	uint8_t frame[128];
	int status, pid, i;

	own_network();
	for (i = 0; i < 3; i++) {
		pid = SYS(fork());
		if (!pid) {
			struct nic *n = nic_running();
			int uffd = syscall(SYS_userfaultfd, O_CLOEXEC), fd;
			struct timespec a, b;

			if (uffd < 0)
				_exit(77);
			SYS(ioctl(uffd, UFFDIO_API, &api));
			reg = (struct uffdio_register){
				.range = { (uintptr_t)n->vm->mem + NIC_RX_BUFS, RING * RX_BUF },
				.mode = UFFDIO_REGISTER_MODE_MISSING,
			};
			SYS(ioctl(uffd, UFFDIO_REGISTER, &reg));
			fd = packet_socket(n->name);
			make_frame(frame, 100, 1);
			ASSERT_EQ(send_frame_raw(fd, n->name, frame, 100), 0);
			p = (struct pollfd){ .fd = uffd, .events = POLLIN };
			ASSERT_EQ(SYS(poll(&p, 1, 30000)), 1);
			/* the worker is in there now, and holds what it holds */
			clock_gettime(CLOCK_MONOTONIC, &a);
			ASSERT_EQ(send_frame_raw(fd, n->name, frame, 100), 0);
			dev_up(n->name, false);
			dev_up(n->name, true);
			dev_ethtool(n->name, "guest_rx_packets");
			EXPECT_EQ(dev_mtu_raw(n->name, 2000), 0);
			if (i < 2)
				EXPECT_EQ(link_del_raw(n->name), 0);
			clock_gettime(CLOCK_MONOTONIC, &b);
			EXPECT_LT(b.tv_sec - a.tv_sec, 20);
			if (i == 0)
				raise(SIGKILL);
			/* a register has to wait for the worker, and a signal ends that */
			close(n->vm->fd);
			close(n->cpu->fd);
			munmap(n->cpu->run, PAGE);
			EXPECT(!dev_exists(n->name));
			_exit(0);
		}
		SYS(waitpid(pid, &status, 0));
		if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
			SKIP("no userfaultfd");
		if (i)
			EXPECT_EQ(status, 0);
		EXPECT(!dev_exists("rs0"));	/* at once: the next one may want the name */
	}
}
