// SPDX-License-Identifier: MIT
/*
 * cage-plugin.c - what cage.c loads: one function that does what it should, and some that try what they can
 *
 * Freestanding, as what has nothing but itself must be.
 */
static int letters;

int rot13(unsigned char *p, unsigned long n)
{
	letters = 0;
	for (unsigned long i = 0; i < n; i++) {
		unsigned char c = p[i] | 0x20;

		if (c < 'a' || c > 'z')
			continue;
		p[i] += c < 'n' ? 13 : -13;
		letters++;
	}
	return letters;
}

int peek(const volatile char *secret)
{
	return secret[8];
}

int poke(volatile char *secret)
{
	secret[0] = 'X';
	return 0;
}

int jump(int (*there)(void))
{
	return there();
}

int ask(void)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(39L) : "rcx", "r11", "memory");
	return (int)ret;
}

int crash(void)
{
	__asm__ volatile("hlt");
	return 0;
}
