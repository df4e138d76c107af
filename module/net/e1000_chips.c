// SPDX-License-Identifier: GPL-2.0-only
/*
 * e1000_chips.c - the EEPROM and the PHY, as drivers probe them
 *
 * The EEPROM (a 93C46: 64 words) can be read in two ways, a word at a time with EERD, and bit by bit with
 * the clock, select and data wires of EECD: a start bit, two bits of opcode, six of address; then each
 * rising edge of the clock shows one bit of the word, the highest first. What would write it is not obeyed.
 *
 * The PHY is a Marvell 88E1011 at address 1 whose autonegotiation has always just ended at 1000 Mbit/s,
 * full duplex. Its registers remember what is written to them, but for those that say what it is and how
 * the link is.
 */
#include "e1000_dev.h"

void eeprom_init(struct rs_e1000 *dev)
{
	u16 sum = 0;
	u32 i;

	memset(dev->eeprom, 0, sizeof(dev->eeprom));
	for (i = 0; i < 3; i++)
		dev->eeprom[i] = dev->mac[2 * i] | dev->mac[2 * i + 1] << 8;
	dev->eeprom[0x08] = 0xffff;	/* number of the board: none */
	dev->eeprom[0x09] = 0xffff;
	dev->eeprom[0x0a] = 0x4408;	/* initialization control 1: the signature of a valid image */
	dev->eeprom[0x0b] = 0x001e;	/* subsystem: the 82540EM's desktop adapter */
	dev->eeprom[0x0c] = 0x8086;
	dev->eeprom[0x0d] = 0x100e;	/* device */
	dev->eeprom[0x0e] = 0x8086;	/* vendor */
	dev->eeprom[0x0f] = 0x3040;	/* initialization control 2: flow control both ways */
	for (i = 0; i < EEPROM_WORDS - 1; i++)
		sum += dev->eeprom[i];
	dev->eeprom[EEPROM_WORDS - 1] = EEPROM_SUM - sum;
}

void eerd_write(struct rs_e1000 *dev, u32 v)
{
	u32 word = v >> 8 & 0xff;

	dev->eerd = v & 0xff00;
	if (v & EERD_START)
		dev->eerd |= EERD_DONE | (word < EEPROM_WORDS ? (u32)dev->eeprom[word] << 16 : 0);
}

#define COMMAND_BITS	9
#define COMMAND_READ	(6u << 6)	/* start bit, opcode 10 */

void eecd_write(struct rs_e1000 *dev, u32 v)
{
	bool edge = (v & EECD_SK) && !(dev->eecd & EECD_SK);

	dev->eecd = (v & (EECD_SK | EECD_CS | EECD_DI | EECD_REQ)) | EECD_PRES | EECD_DO;
	if (v & EECD_REQ)
		dev->eecd |= EECD_GNT;
	if (!(v & EECD_CS)) {
		dev->wire_bits = dev->wire_in = dev->wire_out = 0;
		return;
	}
	if (!edge) {
		/* the output holds between edges */
	} else if (dev->wire_bits < COMMAND_BITS) {
		/* the first one is the start */
		if (!dev->wire_bits && !(v & EECD_DI))
			return;
		dev->wire_in = dev->wire_in << 1 | (v & EECD_DI ? 1 : 0);
		if (++dev->wire_bits == COMMAND_BITS && (dev->wire_in & 0x1c0) == COMMAND_READ)
			dev->wire_out = dev->eeprom[dev->wire_in & (EEPROM_WORDS - 1)];
	} else {
		/* bit 16 is what is shown; the words that would follow are zeros */
		dev->wire_out = (dev->wire_out << 1) & 0x1ffff;
	}
	if (dev->wire_bits == COMMAND_BITS && (dev->wire_in & 0x1c0) == COMMAND_READ && !(dev->wire_out & 0x10000))
		dev->eecd &= ~EECD_DO;
}

static const struct {
	u8 reg;
	u16 value, writable;
} phy_registers[] = {
	{ PHY_CTRL,	0x1140, 0x7dff },	/* autonegotiation, 1000, full duplex */
	{ PHY_STATUS,	0x7949, 0 },		/* can do all of 10 and 100; extended status and registers */
	{ 2,		0x0141, 0 },		/* who made it: Marvell */
	{ 3,		0x0c20, 0 },		/* 88E1011 */
	{ 4,		0x0de1, 0xffff },	/* advertised: 10, 100, pause */
	{ 5,		0xcde1, 0 },		/* the partner's */
	{ 6,		0x0001, 0 },		/* the partner can negotiate */
	{ 9,		0x0e00, 0xffff },	/* advertised: 1000 */
	{ 10,		0x3c00, 0 },		/* the partner's: 1000, both receivers are well */
	{ 15,		0x3000, 0 },		/* can do 1000 over copper */
	{ 16,		0x0360, 0xffff },
	{ PHY_SPECIFIC,	0xa800, 0 },		/* 1000, full duplex, resolved */
	{ 18,		0x0000, 0xffff },	/* its interrupts, which go nowhere */
	{ 20,		0x0d60, 0xffff },
	{ 24,		0x4100, 0xffff },
	{ 29,		0x0000, 0xffff },
	{ 30,		0x0000, 0xffff },
};

void phy_link(struct rs_e1000 *dev)
{
	dev->phy[PHY_STATUS] &= ~(PHY_STATUS_LINK | PHY_STATUS_DONE);
	dev->phy[PHY_SPECIFIC] &= ~PHY_SPECIFIC_LINK;
	if (dev->link) {
		dev->phy[PHY_STATUS] |= PHY_STATUS_LINK | PHY_STATUS_DONE;
		dev->phy[PHY_SPECIFIC] |= PHY_SPECIFIC_LINK;
	}
}

void phy_reset(struct rs_e1000 *dev)
{
	u32 i;

	memset(dev->phy, 0, sizeof(dev->phy));
	for (i = 0; i < ARRAY_SIZE(phy_registers); i++)
		dev->phy[phy_registers[i].reg] = phy_registers[i].value;
	phy_link(dev);
}

static u32 phy_write(struct rs_e1000 *dev, u32 reg, u16 v)
{
	u32 i;

	if (reg == PHY_CTRL && (v & PHY_CTRL_RESET)) {
		phy_reset(dev);
		return 0;
	}
	for (i = 0; i < ARRAY_SIZE(phy_registers); i++)
		if (phy_registers[i].reg == reg)
			dev->phy[reg] = (dev->phy[reg] & ~phy_registers[i].writable) |
					(v & phy_registers[i].writable);
	/* it has ended before the write has, so that bit is never seen */
	return reg == PHY_CTRL && (v & PHY_CTRL_RESTART) && dev->link ? ICR_LSC : 0;
}

u32 mdic_write(struct rs_e1000 *dev, u32 v)
{
	const u32 reg = v >> 16 & 31, phy = v >> 21 & 31;
	u32 causes = 0;

	/* ready is the device's to say, and it is at once */
	dev->mdic = (v & ~(MDIC_READY | MDIC_ERROR)) | MDIC_READY;
	if (phy != PHY_ADDRESS)
		dev->mdic |= MDIC_ERROR;
	else if ((v & MDIC_OP) == MDIC_READ)
		dev->mdic = (dev->mdic & ~0xffffu) | dev->phy[reg];
	else if ((v & MDIC_OP) == MDIC_WRITE)
		causes = phy_write(dev, reg, v);
	else
		dev->mdic |= MDIC_ERROR;
	return v & MDIC_INT ? causes | ICR_MDAC : causes;
}
