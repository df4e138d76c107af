/* SPDX-License-Identifier: MIT */
/*
 * doorbell.pml - the protocol of the NIC's queue page: nobody sleeps while there is work
 *
 * A guest sends TX frames over a ring of RING descriptors and receives RX frames in another one; the module's
 * worker moves them; the outside hands frames to the worker. Everything that struct rs_nic_page
 * (uapi/ringside_guest.h) says is here, as the worker (module/net/nic.c), the model of the device
 * (module/net/e1000_irq.c) and a driver do it:
 *
 *	tx doorbell	guest: store the tail; barrier; if the module has asked for it, take that back and ring
 *			module: ask; barrier; look at the tail again; sleep
 *	rx room		the same with the other tail, asked for while a frame waits for room
 *	interrupt	module: store the heads; OR the cause; barrier; signal if a wanted bit is new
 *			guest: exchange the cause with 0; set the mask; barrier; look again; sleep
 *
 * Memory is that of x86: each side's stores go through a buffer of its own that is emptied in order at any
 * time, loads pass it, a barrier and a locked operation wait until it is empty. So a barrier that is
 * missing shows, too. Heads and tails count on and on; the ring is in their difference.
 *
 * The one property: when nobody can take a step any more, all frames have arrived and the guest knows it. What
 * a define takes out of the protocol (see doorbell-model.suite) must break it.
 */
#ifndef TX
#define TX	3
#endif
#ifndef RX
#define RX	2
#endif
#ifndef RING
#define RING	1
#endif

#define WANT_TX	1
#define WANT_RX	2
#define TXQE	1
#define RXT0	2

/* words of the page that are stored */
#define TX_TAIL		0
#define RX_TAIL		1
#define MASK		2
#define TX_HEAD		3
#define RX_HEAD		4
#define DOORBELL	5

byte mem[6];
byte cause;		/* only locked operations */
bool irq;		/* the eventfd */
bool work;		/* the worker's bit: a doorbell, a frame from outside */
byte outside;		/* frames that the worker has been handed and has not put into the ring */
byte guest_sent, guest_done, guest_got;

chan guest_stores = [2] of { byte, byte };
chan module_stores = [3] of { byte, byte };

#define STORE(buffer, at, v)	buffer ! at, v
#define BARRIER(buffer)		empty(buffer)

active proctype memory()
{
	byte at, v;

end:	do
	:: d_step { guest_stores ? at, v -> mem[at] = v; at = 0; v = 0 }
	:: d_step { module_stores ? at, v -> mem[at] = v; at = 0; v = 0 }
	od
}

active proctype network()
{
	byte n;

	do
	:: n < RX -> d_step { n++; outside++; work = true }
	:: else -> break
	od
}

/* --- the guest ----------------------------------------------------------- */

/* A tail was moved: is the module to be told? */
inline doorbell(want)
{
#ifndef NO_GUEST_BARRIER
	BARRIER(guest_stores);
#endif
	if
	:: mem[DOORBELL] & want ->
#ifndef CLEAR_UNSEEN
		/* one doorbell for each time it was asked for: who clears the bit rings */
		atomic {
			BARRIER(guest_stores) ->
			asked = mem[DOORBELL] & want;
			mem[DOORBELL] = mem[DOORBELL] & ~want
		};
		if
		:: asked -> asked = 0; work = true
		:: else
		fi
#else
		STORE(guest_stores, DOORBELL, mem[DOORBELL] & ~want);
		work = true
#endif
	:: else
	fi
}

/* What the heads say. */
inline look()
{
	d_step {
		progress = (mem[TX_HEAD] != guest_done) || (mem[RX_HEAD] != guest_got);
		posted = posted + mem[RX_HEAD] - guest_got;
		guest_done = mem[TX_HEAD];
		guest_got = mem[RX_HEAD]
	}
}

active proctype guest()
{
	byte posted = RING, told = 0;
	bool progress;
	byte asked;

	do
	:: guest_done == TX && guest_got == RX && told == posted -> break
	:: else ->
		look();
		/* buffers that are empty again */
		if
		:: told != posted ->
			told = posted;
			STORE(guest_stores, RX_TAIL, posted);
			doorbell(WANT_RX)
		:: else
		fi;
		if
		:: guest_sent < TX && guest_sent - guest_done < RING ->
			guest_sent++;
			STORE(guest_stores, TX_TAIL, guest_sent);
			doorbell(WANT_TX)
		:: !progress && (guest_sent == TX || guest_sent - guest_done == RING) ->
			/* nothing to do: sleep */
			atomic { BARRIER(guest_stores) -> cause = 0 }
			STORE(guest_stores, MASK, TXQE | RXT0);
#ifndef NO_MASK_BARRIER
			BARRIER(guest_stores);
#endif
#ifndef NO_GUEST_LOOK
			look();
#endif
			if
#ifndef NO_GUEST_LOOK
			:: progress || cause || told != posted
			:: !progress && !cause && told == posted ->
#else
			:: true ->
#endif
end:				atomic { irq -> irq = false }
			fi;
			STORE(guest_stores, MASK, 0)
		:: progress
		fi
	od
}

/* --- the worker ---------------------------------------------------------- */

active proctype worker()
{
	byte tx_head, rx_head, rx_new, bits, old;
	bool asked;

again:	/* the bit is taken before anything is looked at; a locked operation */
#ifndef LATE_CLEAR
	atomic { BARRIER(module_stores) -> work = false };
#endif
	if
	:: asked -> asked = false; STORE(module_stores, DOORBELL, 0)
	:: else
	fi;
	bits = 0;
	if
	:: tx_head != mem[TX_TAIL] -> d_step { tx_head++; bits = TXQE }
	:: else
	fi;
	rx_new = 0;
	do
	:: outside > 0 && rx_head != mem[RX_TAIL] -> d_step { outside--; rx_head++; bits = bits | RXT0 }
	:: outside == 0 || rx_head == mem[RX_TAIL] -> break
	od;
	if
	:: bits ->
#ifndef LATE_HEADS
		STORE(module_stores, TX_HEAD, tx_head);
		STORE(module_stores, RX_HEAD, rx_head);
#endif
		atomic { BARRIER(module_stores) -> old = cause; cause = cause | bits };
		if
		:: bits & ~old & mem[MASK] -> irq = true
		:: else
		fi;
#ifdef LATE_HEADS
		STORE(module_stores, TX_HEAD, tx_head);
		STORE(module_stores, RX_HEAD, rx_head);
#endif
		goto again
	:: else
	fi;
	/* nothing to do: sleep */
	asked = true;
	bits = (outside -> WANT_TX | WANT_RX : WANT_TX);
#ifdef NO_RX_WANT
	bits = WANT_TX;
#endif
	STORE(module_stores, DOORBELL, bits);
#ifndef NO_MODULE_BARRIER
	BARRIER(module_stores);
#endif
#ifndef NO_RECHECK
	if
	:: tx_head != mem[TX_TAIL] || (bits & WANT_RX && rx_head != mem[RX_TAIL]) -> goto again
	:: else
	fi;
#endif
#ifdef LATE_CLEAR
	work = false;
#endif
end:	work -> goto again
}

/* When nobody can do anything any more. */
active proctype judge()
{
end:	timeout ->
	assert(guest_sent == TX && guest_done == TX && guest_got == RX && outside == 0)
}
