/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * e1000_regs.h - registers, bits and descriptors of the 82540EM
 *
 * Only what the model gives a meaning to, or what drivers are known to touch. Names and numbers are those
 * of Intel's "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual" (8254x,
 * revision 4.0): chapter 13 for registers, 3 for descriptors, 5 for the EEPROM.
 */
#ifndef RS_E1000_REGS_H
#define RS_E1000_REGS_H

#include "e1000_os.h"

/* --- general ------------------------------------------------------------- */
#define E1000_CTRL	0x00000
#define E1000_CTRL_DUP	0x00004
#define CTRL_FD		(1u << 0)
#define CTRL_SLU	(1u << 6)
#define CTRL_SPEED_1000	(2u << 8)
#define CTRL_RST	(1u << 26)
#define CTRL_VME	(1u << 30)
#define CTRL_PHY_RST	(1u << 31)
#define E1000_STATUS	0x00008
#define STATUS_FD	(1u << 0)
#define STATUS_LU	(1u << 1)
#define STATUS_SPEED_1000 (2u << 6)
#define STATUS_ASDV_1000 (2u << 8)
#define STATUS_MTXCKOK	(1u << 10)
#define E1000_EECD	0x00010
#define EECD_SK		(1u << 0)
#define EECD_CS		(1u << 1)
#define EECD_DI		(1u << 2)
#define EECD_DO		(1u << 3)
#define EECD_REQ	(1u << 6)
#define EECD_GNT	(1u << 7)
#define EECD_PRES	(1u << 8)
#define E1000_EERD	0x00014
#define EERD_START	(1u << 0)
#define EERD_DONE	(1u << 4)
#define E1000_CTRL_EXT	0x00018
#define E1000_FLA	0x0001c
#define E1000_MDIC	0x00020
#define MDIC_WRITE	(1u << 26)
#define MDIC_READ	(2u << 26)
#define MDIC_OP		(3u << 26)
#define MDIC_READY	(1u << 28)
#define MDIC_INT	(1u << 29)
#define MDIC_ERROR	(1u << 30)
#define E1000_FCAL	0x00028
#define E1000_FCAH	0x0002c
#define E1000_FCT	0x00030
#define E1000_VET	0x00038
#define E1000_ICR	0x000c0
#define ICR_TXDW	(1u << 0)	/* a descriptor with RS was written back */
#define ICR_TXQE	(1u << 1)	/* the transmit ring is empty */
#define ICR_LSC		(1u << 2)
#define ICR_RXDMT0	(1u << 4)	/* few descriptors are left */
#define ICR_RXO		(1u << 6)
#define ICR_RXT0	(1u << 7)
#define ICR_MDAC	(1u << 9)
#define ICR_TXD_LOW	(1u << 15)
#define ICR_ALL		0x1ffffu
#define E1000_ITR	0x000c4
#define E1000_ICS	0x000c8
#define E1000_IMS	0x000d0
#define E1000_IMC	0x000d8
#define E1000_RCTL	0x00100
#define RCTL_EN		(1u << 1)
#define RCTL_UPE	(1u << 3)
#define RCTL_MPE	(1u << 4)
#define RCTL_LPE	(1u << 5)
#define RCTL_RDMTS(r)	((r) >> 8 & 3)
#define RCTL_MO(r)	((r) >> 12 & 3)
#define RCTL_BAM	(1u << 15)
#define RCTL_BSIZE(r)	((r) >> 16 & 3)
#define RCTL_VFE	(1u << 18)
#define RCTL_CFIEN	(1u << 19)
#define RCTL_CFI	(1u << 20)
#define RCTL_BSEX	(1u << 25)
#define RCTL_SECRC	(1u << 26)
#define E1000_FCTTV	0x00170
#define E1000_TXCW	0x00178
#define E1000_RXCW	0x00180
#define E1000_TCTL	0x00400
#define TCTL_EN		(1u << 1)
#define E1000_TIPG	0x00410
#define E1000_AIT	0x00458
#define E1000_LEDCTL	0x00e00
#define E1000_PBA	0x01000
#define E1000_FCRTL	0x02160
#define E1000_FCRTH	0x02168

/* --- rings: the same registers twice ------------------------------------- */
#define E1000_RX_RING	0x02800
#define E1000_TX_RING	0x03800
#define RING_BAL	0x00
#define RING_BAH	0x04
#define RING_LEN	0x08
#define RING_HEAD	0x10
#define RING_TAIL	0x18
#define RING_DELAY	0x20		/* RDTR, TIDV */
#define DELAY_FLUSH	(1u << 31)
#define RING_DCTL	0x28		/* RXDCTL, TXDCTL */
#define TXDCTL_LWTHRESH(r) ((r) >> 25)
#define RING_ABS_DELAY	0x2c		/* RADV, TADV */
#define E1000_TSPMT	0x03830
#define E1000_RSRPD	0x02c00
#define E1000_TXDMAC	0x03000

/* --- statistics: cleared when read --------------------------------------- */
#define E1000_STATS	0x04000
#define E1000_STATS_END	0x04100
#define STAT(offset)	(((offset) - E1000_STATS) / 4)
#define STAT_MPC	STAT(0x4010)
#define STAT_PRC64	STAT(0x405c)
#define STAT_GPRC	STAT(0x4074)
#define STAT_BPRC	STAT(0x4078)
#define STAT_MPRC	STAT(0x407c)
#define STAT_GPTC	STAT(0x4080)
#define STAT_GORCL	STAT(0x4088)
#define STAT_GORCH	STAT(0x408c)
#define STAT_GOTCL	STAT(0x4090)
#define STAT_GOTCH	STAT(0x4094)
#define STAT_RNBC	STAT(0x40a0)
#define STAT_ROC	STAT(0x40ac)
#define STAT_TORL	STAT(0x40c0)
#define STAT_TORH	STAT(0x40c4)
#define STAT_TOTL	STAT(0x40c8)
#define STAT_TOTH	STAT(0x40cc)
#define STAT_TPR	STAT(0x40d0)
#define STAT_TPT	STAT(0x40d4)
#define STAT_PTC64	STAT(0x40d8)
#define STAT_MPTC	STAT(0x40f0)
#define STAT_BPTC	STAT(0x40f4)
#define STAT_TSCTC	STAT(0x40f8)
#define STAT_TSCTFC	STAT(0x40fc)

/* --- receive filters ----------------------------------------------------- */
#define E1000_RXCSUM	0x05000
#define RXCSUM_TUOFL	(1u << 9)
#define E1000_RFCTL	0x05008
#define RFCTL_EXSTEN	(1u << 15)
#define E1000_MTA	0x05200
#define MTA_WORDS	128
#define E1000_RA	0x05400
#define RA_ENTRIES	16
#define RAH_AS		(3u << 16)	/* which address is compared; 0: the destination's */
#define RAH_AV		(1u << 31)
#define E1000_VFTA	0x05600
#define VFTA_WORDS	128
#define E1000_WUC	0x05800
#define E1000_WUFC	0x05808
#define E1000_WUS	0x05810
#define E1000_MANC	0x05820
#define E1000_IPAV	0x05838

/* --- EEPROM and PHY ------------------------------------------------------ */
#define EEPROM_WORDS	64
#define EEPROM_SUM	0xbaba

#define PHY_ADDRESS	1
#define PHY_REGS	32
#define PHY_CTRL	0
#define PHY_CTRL_RESET	0x8000
#define PHY_CTRL_RESTART 0x0200		/* autonegotiation */
#define PHY_STATUS	1
#define PHY_STATUS_LINK	0x0004
#define PHY_STATUS_DONE	0x0020		/* autonegotiation */
#define PHY_SPECIFIC	17		/* the Marvell's own status */
#define PHY_SPECIFIC_LINK 0x0400

/* --- descriptors --------------------------------------------------------- */

/** struct e1000_tx_desc - any of the three kinds, in little endian words */
struct e1000_tx_desc {
	u32 word[4];
};

#define TX_LEGACY_LEN(w2)	((w2) & 0xffff)
#define TX_LEGACY_CSO(w2)	((w2) >> 16 & 0xff)
#define TX_LEGACY_CSS(w3)	((w3) >> 8 & 0xff)
#define TX_DATA_LEN(w2)		((w2) & 0xfffff)
#define TX_TYPE(w2)		((w2) >> 20 & 15)
#define TX_TYPE_CONTEXT		0
#define TX_TYPE_DATA		1
#define TX_SPECIAL(w3)		((w3) >> 16)
#define TX_EOP			(1u << 24)
#define TX_LEGACY_IC		(1u << 26)
#define TX_TSE			(1u << 26)
#define TX_RS			(1u << 27)
#define TX_DEXT			(1u << 29)
#define TX_VLE			(1u << 30)
#define TX_IDE			(1u << 31)
#define TX_DATA_IXSM		(1u << 8)	/* in word 3 */
#define TX_DATA_TXSM		(1u << 9)
#define TX_CONTEXT_TCP		(1u << 24)
#define TX_CONTEXT_IP		(1u << 25)
#define TX_CONTEXT_TSE		(1u << 26)
#define TX_STATUS_AT		12		/* byte */
#define TX_STATUS_DD		1

/** struct e1000_rx_desc - as it is written back; what the driver gives is @addr */
union e1000_rx_desc {
	struct {
		u64 addr;
		u16 len, sum;
		u8 status, errors;
		u16 special;
	} legacy;
	struct {
		u32 mrq;
		u16 ip_id, sum;
		u32 status;	/* and errors, from bit 20 on */
		u16 len, vlan;
	} ext;
};

#define RX_DD			(1u << 0)
#define RX_EOP			(1u << 1)
#define RX_IXSM			(1u << 2)	/* look at no checksum bit */
#define RX_VP			(1u << 3)
#define RX_TCPCS		(1u << 5)
#define RX_ERR_RXE		(1u << 7)	/* data error */
#define RX_EXT_ERR_SHIFT	24

#define DESC_SIZE		16
_Static_assert(sizeof(struct e1000_tx_desc) == DESC_SIZE, "transmit descriptor");
_Static_assert(sizeof(union e1000_rx_desc) == DESC_SIZE, "receive descriptor");
_Static_assert(offsetof(union e1000_rx_desc, legacy.status) == 12, "status of a legacy descriptor");
_Static_assert(offsetof(union e1000_rx_desc, ext.status) == 8, "status of an extended descriptor");

#endif /* RS_E1000_REGS_H */
