// SPDX-License-Identifier: MIT
/*
 * `ringside doctor`: what this machine offers, and what to do about what is missing.
 *
 * Every check looks at the thing itself (CPUID, the device, a system call), not at names of
 * distributions. A line is "ok", "note" (a run is possible without it) or "MISSING" (it is not),
 * and after a MISSING comes what to do. The last line sums up.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "confine.h"
#include "engine.h"
#include "net.h"

struct doctor {
	FILE *out;
	int missing;
};

static void __attribute__((format(printf, 4, 5)))
line(struct doctor *d, const char *state, const char *what, const char *fmt, ...)
{
	va_list ap;

	if (!strcmp(state, "MISSING"))
		d->missing++;
	fprintf(d->out, "%-8s %-12s ", state, what);
	va_start(ap, fmt);
	vfprintf(d->out, fmt, ap);
	va_end(ap);
	fputc('\n', d->out);
}

static void __attribute__((format(printf, 2, 3))) advice(struct doctor *d, const char *fmt, ...)
{
	va_list ap;

	fprintf(d->out, "%22s", "-> ");
	va_start(ap, fmt);
	vfprintf(d->out, fmt, ap);
	va_end(ap);
	fputc('\n', d->out);
}

/* First line of a small file, without its end; false when there is none. */
static bool read_line(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(buf, size, f);

	if (f)
		fclose(f);
	if (ok)
		buf[strcspn(buf, "\n")] = 0;
	return ok;
}

/* Is a module loaded, and how many use it? */
static bool module_loaded(const char *name, int *users)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	if (access(path, F_OK))
		return false;
	snprintf(path, sizeof(path), "/sys/module/%s/refcnt", name);
	*users = read_line(path, text, sizeof(text)) ? atoi(text) : 0;
	return true;
}

/* Returns "vmx", "svm" or NULL. */
static const char *check_cpu(struct doctor *d)
{
	unsigned int a, b, c, e, max, ext;
	char vendor[13] = "", brand[49] = "";

	__cpuid(0, max, b, c, e);
	memcpy(vendor, &b, 4);
	memcpy(vendor + 4, &e, 4);
	memcpy(vendor + 8, &c, 4);
	__cpuid(0x80000000, ext, b, c, e);
	if (ext >= 0x80000004) {
		unsigned int i, r[4];

		for (i = 0; i < 3; i++) {
			__cpuid(0x80000002 + i, r[0], r[1], r[2], r[3]);
			memcpy(brand + 16 * i, r, 16);
		}
	}
	__cpuid(1, a, b, c, e);
	if (c & 1u << 5) {
		line(d, "ok", "CPU", "VT-x (%s%s%s)", vendor, *brand ? ", " : "",
		     brand + strspn(brand, " "));
		line(d, "note", "EPT",
		     "whether nested paging can be used is known when the module is loaded");
		return "vmx";
	}
	if (ext >= 0x80000001) {
		__cpuid(0x80000001, a, b, c, e);
		if (c & 1u << 2) {
			line(d, "ok", "CPU", "SVM (%s%s%s)", vendor, *brand ? ", " : "",
			     brand + strspn(brand, " "));
			if (ext >= 0x8000000a)
				__cpuid(0x8000000a, a, b, c, e);
			else
				e = 0;
			if (e & 1) {
				line(d, "ok", "NPT", "nested paging, %u address-space identifiers",
				     b);
			} else {
				line(d, "MISSING", "NPT", "this CPU has no nested paging");
				advice(d, "a newer CPU, or, in a virtual machine, a CPU model with "
					  "npt");
			}
			return "svm";
		}
	}
	line(d, "MISSING", "CPU", "no VT-x and no SVM (%s%s%s)", vendor, *brand ? ", " : "",
	     brand + strspn(brand, " "));
	if (c & 1u << 31)
		advice(d, "this is a virtual machine: switch on nested virtualisation in its host");
	else
		advice(d, "switch on VT-x / SVM in the firmware's setup; if there is no such "
			  "entry, this CPU cannot run Ringside");
	return NULL;
}

static void check_device(struct doctor *d, const char *cpu)
{
	struct rs_engine e = { .ops = &rs_engine_device };
	char why[RS_WHY] = "", name[32];
	struct stat st;
	int users, ret;

	if (module_loaded("ringside", &users)) {
		line(d, "ok", "module", "ringside is loaded (used by %d)", users);
	} else {
		line(d, "MISSING", "module", "ringside is not loaded");
		advice(d,
		       "modprobe ringside, or insmod ringside.ko as root (make module builds it)");
	}
	ret = e.ops->open(&e, why);
	if (ret) {
		line(d, "MISSING", "device", "%s", why);
		if (ret == -EACCES && !stat(RS_DEVICE_PATH, &st))
			advice(d, "chgrp a group of yours on %s and chmod 660, as root",
			       RS_DEVICE_PATH);
	} else {
		line(d, "ok", "device",
		     "%s, interface version %u, backend %s, guest addresses of %u bits",
		     RS_DEVICE_PATH, e.info.abi_version,
		     e.info.backend == RS_BACKEND_VMX ? "vmx" : "svm", e.info.gpa_bits);
		line(d, "note", "features", "%s%s%s%s%s",
		     e.info.features & RS_FEATURE_NESTED_2M ? "nested-2M " : "",
		     e.info.features & RS_FEATURE_NESTED_AD ? "nested-AD " : "",
		     e.info.features & RS_FEATURE_GUEST_1G ? "guest-1G " : "",
		     e.info.features & RS_FEATURE_XSAVE ? "xsave " : "",
		     e.info.features & RS_FEATURE_PCID ? "pcid" : "");
		ret = e.ops->create_vm(&e, 0, why);
		if (ret)
			line(d, "MISSING", "VM", "%s", why);
		else
			line(d, "ok", "VM", "a VM can be created");
	}
	e.ops->close(&e);

	snprintf(name, sizeof(name), "kvm_%s", !cpu || !strcmp(cpu, "vmx") ? "intel" : "amd");
	if (!module_loaded(name, &users)) {
		line(d, "ok", "KVM", "%s is not loaded", name);
	} else if (users) {
		line(d, "note", "KVM",
		     "%s is loaded and in use by %d: it may hold the CPU's virtualisation", name,
		     users);
		advice(d,
		       "end KVM's guests, or unload %s; from Linux 6.12 on boot with "
		       "kvm.enable_virt_at_load=0",
		       name);
	} else {
		line(d, "note", "KVM",
		     "%s is loaded and idle: whoever starts a guest first has the CPU", name);
	}
}

static void check_confinement(struct doctor *d)
{
	int abi = rs_landlock_abi();
	char text[256];

	if (abi >= 1) {
		line(d, "ok", "Landlock", "interface version %d", abi);
	} else {
		line(d, "MISSING", "Landlock", "%s", strerror(-abi));
		if (read_line("/sys/kernel/security/lsm", text, sizeof(text)))
			advice(d, "security modules now: %s", text);
		advice(d, "Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK=y, booted with "
			  "landlock in lsm=");
	}
	if (rs_seccomp_available()) {
		line(d, "ok", "seccomp", "filters are available");
	} else {
		line(d, "MISSING", "seccomp", "no filters");
		advice(d, "a Linux with CONFIG_SECCOMP_FILTER=y");
	}
	if (access("/proc/self/fd", F_OK)) {
		line(d, "MISSING", "/proc",
		     "is not mounted; names of files cannot be checked without it");
		advice(d, "mount -t proc proc /proc");
	} else {
		line(d, "ok", "/proc", "is mounted");
	}
	if (read_line("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text))) {
		if (strstr(text, "[never]")) {
			line(d, "note", "huge pages",
			     "are switched off: more nested faults, nothing else");
			advice(d, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
		} else {
			line(d, "ok", "huge pages", "%s", text);
		}
	} else {
		line(d, "note", "huge pages",
		     "this Linux has none: more nested faults, nothing else");
	}
}

static void check_network(struct doctor *d)
{
	int ret = rs_net_available();

	if (ret == 1) {
		line(d, "ok", "network", "--net e1000 can make its interface");
	} else if (ret == 0) {
		line(d, "note", "network", "--net e1000 needs CAP_NET_ADMIN for its interface");
		advice(d, "run it as root, or in a network namespace: unshare -rn ringside run ...");
	} else {
		line(d, "note", "network", "there is no --net e1000: %s",
		     ret == -EOPNOTSUPP ? "the module is not loaded" : strerror(-ret));
	}
}

int rs_doctor(FILE *out)
{
	struct doctor d = { .out = out };
	struct utsname u;
	const char *cpu;

	if (!uname(&u))
		line(&d, "note", "Linux", "%s", u.release);
	cpu = check_cpu(&d);
	check_device(&d, cpu);
	check_confinement(&d);
	check_network(&d);
	if (d.missing)
		fprintf(out, "not ready: %d %s missing\n", d.missing,
			d.missing == 1 ? "thing is" : "things are");
	else
		fprintf(out, "ready\n");
	return d.missing ? 1 : 0;
}
