// SPDX-License-Identifier: GPL-2.0-only
/*
 * netdev.c - a NIC's other end: the network interface rs%d, made over rtnetlink
 *
 *	Linux -> guest	ndo_start_xmit puts the frame into port.to_guest and wakes the worker. The queue
 *			is bounded and accounted to BQL until the guest has the frame, so that a slow
 *			guest slows its senders down instead of losing their frames.
 *	guest -> Linux	the worker puts frames into port.to_host and schedules NAPI, which runs on the
 *			same CPU as soon as softirqs are on again. When it lags behind, the worker leaves
 *			the guest's descriptors alone.
 *
 * The carrier is on when the guest's receiver is. The guest's link is up when the interface is.
 *
 * The interface goes by RTM_DELLINK, with its namespace, or with the VM's descriptor (rs_nics_end), whichever comes
 * first; all hold rtnl and end in ndo_uninit, which cuts it off from the worker: a spin lock's
 * critical section, nobody is waited for. The VM's descriptor ends in its release, which
 * fput() runs with no lock held; no reference to a VM or its file is dropped for good under rtnl
 * (fput() defers it). So rs_nics_end() may take rtnl, and wait there for interfaces that go.
 *
 * An interface in removal runs code of the module after rtnl was dropped. It is gone before the
 * module: rtnl_link_unregister() waits for all that are in that state.
 */
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/sched/mm.h>
#include <net/netlink.h>
#include <net/rtnetlink.h>
#include "dev.h"
#include "nic.h"

/* The private part of the interface. */
struct rs_netdev {
	struct rs_nic *nic;		/* a reference; NULL before newlink and while that fails */
	struct napi_struct napi;
};

static struct rs_nic *nic_of(const struct net_device *dev)
{
	const struct rs_netdev *nd = netdev_priv(dev);

	return nd->nic;
}

/* --- the port, as the worker sees it --- */

u32 rs_port_take(struct rs_nic *nic, struct sk_buff_head *list, u32 max)
{
	struct rs_port *port = &nic->port;
	struct sk_buff *skb;
	u32 epoch;

	spin_lock_bh(&port->lock);
	epoch = port->epoch;
	while (max-- && (skb = __skb_dequeue(&port->to_guest)))
		__skb_queue_tail(list, skb);
	spin_unlock_bh(&port->lock);
	/* The guest's memory may keep the worker for long: it holds up no sender and no namespace. */
	skb_queue_walk(list, skb)
		skb_orphan(skb);
	return epoch;
}

void rs_port_done(struct rs_nic *nic, u32 epoch, u32 sent, u32 dropped, u32 bytes, u32 all_bytes)
{
	struct rs_port *port = &nic->port;

	spin_lock_bh(&port->lock);
	port->tx_packets += sent;
	port->tx_bytes += bytes;
	port->tx_dropped += dropped;
	/* Otherwise stop has told BQL already that all is over. */
	if (port->dev && port->up && epoch == port->epoch) {
		netdev_completed_queue(port->dev, sent + dropped, all_bytes);
		if (netif_queue_stopped(port->dev) &&
		    skb_queue_len(&port->to_guest) <= RS_PORT_TO_GUEST / 2)
			netif_wake_queue(port->dev);
	}
	spin_unlock_bh(&port->lock);
}

void rs_port_give(struct rs_nic *nic, struct sk_buff_head *list)
{
	struct rs_port *port = &nic->port;

	spin_lock_bh(&port->lock);
	if (port->dev && port->up) {
		struct rs_netdev *nd = netdev_priv(port->dev);

		skb_queue_splice_tail_init(list, &port->to_host);
		napi_schedule(&nd->napi);
	} else {
		port->rx_dropped += skb_queue_len(list);
	}
	spin_unlock_bh(&port->lock);	/* NAPI runs here, or in ksoftirqd */
	__skb_queue_purge(list);
}

bool rs_port_has_room(struct rs_nic *nic, u32 more)
{
	struct rs_port *port = &nic->port;
	bool room;

	spin_lock_bh(&port->lock);
	room = skb_queue_len(&port->to_host) + more < RS_PORT_TO_HOST;
	port->host_full = !room;
	spin_unlock_bh(&port->lock);
	return room;
}

void rs_port_bad(struct rs_nic *nic, bool no_memory)
{
	spin_lock_bh(&nic->port.lock);
	if (no_memory)
		nic->port.rx_dropped++;
	else
		nic->port.rx_errors++;
	spin_unlock_bh(&nic->port.lock);
}

void rs_port_carrier(struct rs_nic *nic, bool on)
{
	struct rs_port *port = &nic->port;

	spin_lock_bh(&port->lock);
	if (port->dev && on)
		netif_carrier_on(port->dev);
	else if (port->dev)
		netif_carrier_off(port->dev);
	spin_unlock_bh(&port->lock);
}

/* --- the interface's operations --- */

static int net_poll(struct napi_struct *napi, int budget)
{
	struct rs_netdev *nd = container_of(napi, struct rs_netdev, napi);
	struct rs_port *port = &nd->nic->port;
	struct sk_buff_head list;
	struct sk_buff *skb;
	int n = 0;

	__skb_queue_head_init(&list);
	spin_lock(&port->lock);
	while (n < budget && (skb = __skb_dequeue(&port->to_host))) {
		port->rx_packets++;
		port->rx_bytes += skb->len;
		__skb_queue_tail(&list, skb);
		n++;
	}
	if (n && port->host_full) {
		port->host_full = false;
		rs_nic_wake(nd->nic);
	}
	spin_unlock(&port->lock);
	while ((skb = __skb_dequeue(&list))) {
		skb->protocol = eth_type_trans(skb, napi->dev);
		napi_gro_receive(napi, skb);
	}
	if (n < budget)
		napi_complete_done(napi, n);
	return n;
}

static int net_open(struct net_device *dev)
{
	struct rs_netdev *nd = netdev_priv(dev);
	struct rs_nic *nic = nd->nic;

	napi_enable(&nd->napi);
	netif_start_queue(dev);
	spin_lock_bh(&nic->port.lock);
	nic->port.up = true;
	rs_nic_wake(nic);
	spin_unlock_bh(&nic->port.lock);
	return 0;
}

/* The port goes down: whatever is in it is lost, and BQL begins anew. rtnl */
static void port_down(struct rs_nic *nic, struct net_device *dev)
{
	struct rs_port *port = &nic->port;
	struct sk_buff_head list;

	__skb_queue_head_init(&list);
	spin_lock_bh(&port->lock);
	port->up = false;
	port->epoch++;
	port->tx_dropped += skb_queue_len(&port->to_guest);
	port->rx_dropped += skb_queue_len(&port->to_host);
	skb_queue_splice_init(&port->to_guest, &list);
	skb_queue_splice_init(&port->to_host, &list);
	netdev_reset_queue(dev);
	rs_nic_wake(nic);
	spin_unlock_bh(&port->lock);
	__skb_queue_purge(&list);
}

static int net_stop(struct net_device *dev)
{
	struct rs_netdev *nd = netdev_priv(dev);

	netif_stop_queue(dev);
	port_down(nd->nic, dev);
	napi_disable(&nd->napi);
	return 0;
}

static netdev_tx_t net_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct rs_nic *nic = nic_of(dev);
	struct rs_port *port = &nic->port;
	unsigned int len = skb->len;

	spin_lock(&port->lock);
	if (unlikely(!port->up || skb_queue_len(&port->to_guest) >= RS_PORT_TO_GUEST)) {
		port->tx_dropped++;
		spin_unlock(&port->lock);
		kfree_skb(skb);
		return NETDEV_TX_OK;
	}
	skb_tx_timestamp(skb);
	nf_reset_ct(skb);	/* a connection's entry keeps its namespace from going */
	__skb_queue_tail(&port->to_guest, skb);
	netdev_sent_queue(dev, len);
	if (skb_queue_len(&port->to_guest) >= RS_PORT_TO_GUEST)
		netif_stop_queue(dev);
	if (!netdev_xmit_more() || netif_xmit_stopped(netdev_get_tx_queue(dev, 0)))
		rs_nic_wake(nic);
	spin_unlock(&port->lock);
	return NETDEV_TX_OK;
}

static void net_stats(struct net_device *dev, struct rtnl_link_stats64 *s)
{
	struct rs_port *port = &nic_of(dev)->port;

	spin_lock_bh(&port->lock);
	s->rx_packets = port->rx_packets;
	s->rx_bytes = port->rx_bytes;
	s->rx_dropped = port->rx_dropped;
	s->rx_errors = port->rx_errors;
	s->tx_packets = port->tx_packets;
	s->tx_bytes = port->tx_bytes;
	s->tx_dropped = port->tx_dropped;
	spin_unlock_bh(&port->lock);
}

/* The last moment with rtnl held. From here on the worker does not know the interface. */
static void net_uninit(struct net_device *dev)
{
	struct rs_nic *nic = nic_of(dev);

	if (!nic || nic->port.dev != dev)
		return;
	spin_lock_bh(&nic->port.lock);
	nic->port.dev = NULL;
	rs_nic_wake(nic);
	spin_unlock_bh(&nic->port.lock);
}

static const struct net_device_ops net_ops = {
	.ndo_uninit		= net_uninit,
	.ndo_open		= net_open,
	.ndo_stop		= net_stop,
	.ndo_start_xmit		= net_xmit,
	.ndo_get_stats64	= net_stats,
	.ndo_set_mac_address	= eth_mac_addr,
	.ndo_validate_addr	= eth_validate_addr,
};

/* --- ethtool --- */

/* What the guest's side counts; names as they are shown. */
#define RS_STAT(field) { "guest_" #field, offsetof(struct rs_e1000_stats, field) }
static const struct {
	char name[ETH_GSTRING_LEN];
	size_t offset;
} model_stats[] = {
	RS_STAT(tx_packets), RS_STAT(tx_bytes), RS_STAT(rx_packets), RS_STAT(rx_bytes),
	RS_STAT(tx_bad), RS_STAT(rx_bad), RS_STAT(rx_filtered), RS_STAT(rx_no_room), RS_STAT(interrupts),
	RS_STAT(register_reads), RS_STAT(register_writes),
};
#undef RS_STAT
static const char own_stats[][ETH_GSTRING_LEN] = { "doorbells", "signals", "wakeups" };

static int ethtool_count(struct net_device *dev, int set)
{
	if (set != ETH_SS_STATS)
		return -EOPNOTSUPP;
	return ARRAY_SIZE(model_stats) + ARRAY_SIZE(own_stats);
}

static void ethtool_strings(struct net_device *dev, u32 set, u8 *data)
{
	int i;

	if (set != ETH_SS_STATS)
		return;
	for (i = 0; i < ARRAY_SIZE(model_stats); i++, data += ETH_GSTRING_LEN)
		memcpy(data, model_stats[i].name, ETH_GSTRING_LEN);
	memcpy(data, own_stats, sizeof(own_stats));
}

static void ethtool_stats(struct net_device *dev, struct ethtool_stats *unused, u64 *data)
{
	struct rs_nic *nic = nic_of(dev);
	int i;

	spin_lock_bh(&nic->port.lock);
	for (i = 0; i < ARRAY_SIZE(model_stats); i++)
		*data++ = *(u64 *)((void *)&nic->port.model + model_stats[i].offset);
	spin_unlock_bh(&nic->port.lock);
	*data++ = atomic64_read(&nic->doorbells);
	*data++ = READ_ONCE(nic->interrupts);
	*data++ = READ_ONCE(nic->wakeups);
}

static void ethtool_drvinfo(struct net_device *dev, struct ethtool_drvinfo *info)
{
	struct rs_nic *nic = nic_of(dev);

	strscpy(info->driver, "ringside", sizeof(info->driver));
	snprintf(info->bus_info, sizeof(info->bus_info), "vm%u.%u", nic->vm_id, nic->index);
}

static int ethtool_link_settings(struct net_device *dev, struct ethtool_link_ksettings *cmd)
{
	/* What the 82540EM tells its driver. */
	cmd->base.speed = SPEED_1000;
	cmd->base.duplex = DUPLEX_FULL;
	cmd->base.port = PORT_TP;
	cmd->base.autoneg = AUTONEG_DISABLE;
	return 0;
}

static const struct ethtool_ops ethtool_ops = {
	.get_drvinfo		= ethtool_drvinfo,
	.get_link		= ethtool_op_get_link,
	.get_link_ksettings	= ethtool_link_settings,
	.get_sset_count		= ethtool_count,
	.get_strings		= ethtool_strings,
	.get_ethtool_stats	= ethtool_stats,
	.get_ts_info		= ethtool_op_get_ts_info,
};

/* --- rtnetlink --- */

static const struct nla_policy policy[IFLA_RINGSIDE_MAX + 1] = {
	[IFLA_RINGSIDE_VM_FD]		= { .type = NLA_U32 },
	[IFLA_RINGSIDE_INDEX]		= NLA_POLICY_MAX(NLA_U32, RS_MAX_NICS - 1),
	[IFLA_RINGSIDE_EVENT_FD]	= { .type = NLA_U32 },
	[IFLA_RINGSIDE_REGS_GPA]	= { .type = NLA_U64 },
	[IFLA_RINGSIDE_GUEST_MAC]	= NLA_POLICY_EXACT_LEN(ETH_ALEN),
	[IFLA_RINGSIDE_VM_ID]		= { .type = NLA_REJECT },
};

static void net_free(struct net_device *dev)
{
	rs_nic_put(nic_of(dev));
}

static void net_setup(struct net_device *dev)
{
	struct rs_netdev *nd = netdev_priv(dev);

	ether_setup(dev);
	dev->netdev_ops = &net_ops;
	dev->ethtool_ops = &ethtool_ops;
	dev->needs_free_netdev = true;
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE;
	dev->priv_flags &= ~IFF_TX_SKB_SHARING;		/* frames are queued */
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = RS_NIC_MTU_MAX;
	dev->hw_features = NETIF_F_SG | NETIF_F_FRAGLIST | NETIF_F_HW_CSUM;
	dev->features = dev->hw_features | NETIF_F_HIGHDMA | NETIF_F_HW_VLAN_CTAG_TX;
	dev->vlan_features = dev->hw_features | NETIF_F_HIGHDMA;
	netif_napi_add(dev, &nd->napi, net_poll);
}

static int net_validate(struct nlattr *tb[], struct nlattr *data[], struct netlink_ext_ack *extack)
{
	if (!data || !data[IFLA_RINGSIDE_VM_FD]) {
		NL_SET_ERR_MSG(extack, "the VM's descriptor is missing");
		return -EINVAL;
	}
	if (!data[IFLA_RINGSIDE_EVENT_FD]) {
		NL_SET_ERR_MSG(extack, "the eventfd is missing");
		return -EINVAL;
	}
	if (tb[IFLA_ADDRESS] && (nla_len(tb[IFLA_ADDRESS]) != ETH_ALEN ||
				 !is_valid_ether_addr(nla_data(tb[IFLA_ADDRESS])))) {
		NL_SET_ERR_MSG_ATTR(extack, tb[IFLA_ADDRESS], "not a unicast Ethernet address");
		return -EADDRNOTAVAIL;
	}
	return 0;
}

/* What is left to check of the attributes once the VM is known. */
static int read_params(struct rs_vm *vm, struct nlattr *data[], struct rs_nic_params *p,
		       struct netlink_ext_ack *extack)
{
	*p = (struct rs_nic_params) { };
	if (data[IFLA_RINGSIDE_INDEX])
		p->index = nla_get_u32(data[IFLA_RINGSIDE_INDEX]);
	if (vm->nics[p->index]) {
		NL_SET_ERR_MSG(extack, "the VM has this NIC already");
		return -EEXIST;
	}
	eth_random_addr(p->mac);
	if (data[IFLA_RINGSIDE_GUEST_MAC]) {
		ether_addr_copy(p->mac, nla_data(data[IFLA_RINGSIDE_GUEST_MAC]));
		if (!is_valid_ether_addr(p->mac)) {
			NL_SET_ERR_MSG_ATTR(extack, data[IFLA_RINGSIDE_GUEST_MAC],
					    "not a unicast Ethernet address");
			return -EADDRNOTAVAIL;
		}
	}
	if (data[IFLA_RINGSIDE_REGS_GPA]) {
		p->has_regs = true;
		p->regs_gpa = nla_get_u64(data[IFLA_RINGSIDE_REGS_GPA]);
		if (!PAGE_ALIGNED(p->regs_gpa) ||
		    !rs_mmu_is_mmio(&vm->mmu, p->regs_gpa, RS_NIC_REGS_SIZE)) {
			NL_SET_ERR_MSG_ATTR(extack, data[IFLA_RINGSIDE_REGS_GPA],
					    "the register page does not lie in an MMIO region");
			return -EINVAL;
		}
	}
	return 0;
}

/* VM and parameters are known, the eventfd is to become the NIC's. */
static int make_link(struct net_device *dev, struct rs_vm *vm, const struct rs_nic_params *p,
		     struct eventfd_ctx *event)
{
	struct rs_netdev *nd = netdev_priv(dev);
	struct rs_nic *nic = rs_nic_new(vm, p, event);
	int ret;

	if (IS_ERR(nic)) {
		eventfd_ctx_put(event);
		return PTR_ERR(nic);
	}
	nd->nic = nic;
	netif_carrier_off(dev);
	ret = register_netdevice(dev);
	if (ret) {
		nd->nic = NULL;
		rs_nic_stop(nic);
		rs_nic_put(nic);
		return ret;
	}
	kref_get(&nic->ref);		/* the VM's; the first one is the interface's */
	dev->priv_destructor = net_free;
	spin_lock_bh(&nic->port.lock);
	nic->port.dev = dev;
	spin_unlock_bh(&nic->port.lock);
	smp_store_release(&vm->nics[p->index], nic);	/* to vCPUs: rs_nic_of */
	return 0;
}

static int net_newlink(struct net *src_net, struct net_device *dev, struct nlattr *tb[],
		       struct nlattr *data[], struct netlink_ext_ack *extack)
{
	struct rs_nic_params p;
	struct eventfd_ctx *event;
	struct file *file;
	struct rs_vm *vm;
	int ret;

	file = rs_vm_file_get(nla_get_u32(data[IFLA_RINGSIDE_VM_FD]), &vm);
	if (IS_ERR(file)) {
		NL_SET_ERR_MSG_ATTR(extack, data[IFLA_RINGSIDE_VM_FD], "not a VM of this process");
		return PTR_ERR(file);
	}
	ret = read_params(vm, data, &p, extack);
	if (ret)
		goto out;
	event = eventfd_ctx_fdget(nla_get_u32(data[IFLA_RINGSIDE_EVENT_FD]));
	if (IS_ERR(event)) {
		NL_SET_ERR_MSG_ATTR(extack, data[IFLA_RINGSIDE_EVENT_FD], "not an eventfd");
		ret = PTR_ERR(event);
		goto out;
	}
	if (!tb[IFLA_ADDRESS])
		eth_hw_addr_random(dev);
	if (!tb[IFLA_IFNAME])
		strscpy(dev->name, "rs%d", IFNAMSIZ);
	ret = make_link(dev, vm, &p, event);
out:
	/* Not the last reference's end, even if it is the last: that comes on the way to user space. */
	fput(file);
	return ret;
}

static void net_dellink(struct net_device *dev, struct list_head *head)
{
	unregister_netdevice_queue(dev, head);
}

static size_t net_info_size(const struct net_device *dev)
{
	return 2 * nla_total_size(sizeof(u32)) + nla_total_size(ETH_ALEN);
}

static int net_fill_info(struct sk_buff *skb, const struct net_device *dev)
{
	const struct rs_nic *nic = nic_of(dev);

	if (nla_put_u32(skb, IFLA_RINGSIDE_INDEX, nic->index) ||
	    nla_put_u32(skb, IFLA_RINGSIDE_VM_ID, nic->vm_id) ||
	    nla_put(skb, IFLA_RINGSIDE_GUEST_MAC, ETH_ALEN, nic->mac))
		return -EMSGSIZE;
	return 0;
}

static struct rtnl_link_ops link_ops = {
	.kind		= RS_LINK_KIND,
	.maxtype	= IFLA_RINGSIDE_MAX,
	.policy		= policy,
	.priv_size	= sizeof(struct rs_netdev),
	.setup		= net_setup,
	.validate	= net_validate,
	.newlink	= net_newlink,
	.dellink	= net_dellink,
	.get_size	= net_info_size,
	.fill_info	= net_fill_info,
};
MODULE_ALIAS_RTNL_LINK(RS_LINK_KIND);

/* --- life --- */

void rs_nics_end(struct rs_vm *vm)
{
	LIST_HEAD(list);
	bool any = false;
	int i;

	for (i = 0; i < RS_MAX_NICS; i++)
		any |= !!vm->nics[i];
	if (!any)
		return;
	/* Nobody can give the VM another NIC: its descriptor is closed. */
	rtnl_lock();
	for (i = 0; i < RS_MAX_NICS; i++) {
		/* written under rtnl only */
		if (vm->nics[i] && vm->nics[i]->port.dev)
			unregister_netdevice_queue(vm->nics[i]->port.dev, &list);
	}
	unregister_netdevice_many(&list);
	rtnl_unlock();
	for (i = 0; i < RS_MAX_NICS; i++)
		if (vm->nics[i])
			rs_nic_stop(vm->nics[i]);
}

void rs_nics_put(struct rs_vm *vm)
{
	int i;

	for (i = 0; i < RS_MAX_NICS; i++)
		if (vm->nics[i])
			rs_nic_put(vm->nics[i]);
}

int rs_net_init(void)
{
	return rtnl_link_register(&link_ops);
}

void rs_net_exit(void)
{
	rtnl_link_unregister(&link_ops);
}
