/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of vbe: kick, call, access, map, event, state.
 *
 * Copyright (c) 2026 The vbe authors
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vbe

#if !defined(VBE_CORE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VBE_CORE_TRACE_H

#include <linux/tracepoint.h>

#include "vbe.h"

TRACE_EVENT(vbe_kick,
	TP_PROTO(const struct vbe_queue *q, bool latched),
	TP_ARGS(q, latched),
	TP_STRUCT__entry(
		__array(char, name, VBE_NAME_MAX)
		__field(u32, queue)
		__field(bool, latched)
	),
	TP_fast_assign(
		memcpy(__entry->name, q->dev->name, VBE_NAME_MAX);
		__entry->queue = q->index;
		__entry->latched = latched;
	),
	TP_printk("%s queue %u%s", __entry->name, __entry->queue,
		  __entry->latched ? " latched" : "")
);

TRACE_EVENT(vbe_call,
	TP_PROTO(const struct vbe_queue *q, bool nested, bool live),
	TP_ARGS(q, nested, live),
	TP_STRUCT__entry(
		__array(char, name, VBE_NAME_MAX)
		__field(u32, queue)
		__field(bool, nested)
		__field(bool, live)
	),
	TP_fast_assign(
		memcpy(__entry->name, q->dev->name, VBE_NAME_MAX);
		__entry->queue = q->index;
		__entry->nested = nested;
		__entry->live = live;
	),
	TP_printk("%s queue %u by %s%s", __entry->name, __entry->queue,
		  __entry->nested ? "eventfd" : "ioctl",
		  __entry->live ? "" : " spurious")
);

TRACE_EVENT(vbe_access,
	TP_PROTO(const struct vbe_device *dev, bool write, u32 offset, u32 len),
	TP_ARGS(dev, write, offset, len),
	TP_STRUCT__entry(
		__array(char, name, VBE_NAME_MAX)
		__field(bool, write)
		__field(u32, offset)
		__field(u32, len)
	),
	TP_fast_assign(
		memcpy(__entry->name, dev->name, VBE_NAME_MAX);
		__entry->write = write;
		__entry->offset = offset;
		__entry->len = len;
	),
	TP_printk("%s config %s offset %u len %u", __entry->name,
		  __entry->write ? "write" : "read", __entry->offset, __entry->len)
);

TRACE_EVENT(vbe_map,
	TP_PROTO(const struct vbe_device *dev, u64 fe_addr, unsigned long pages, bool scratch),
	TP_ARGS(dev, fe_addr, pages, scratch),
	TP_STRUCT__entry(
		__array(char, name, VBE_NAME_MAX)
		__field(u64, fe_addr)
		__field(unsigned long, pages)
		__field(bool, scratch)
	),
	TP_fast_assign(
		memcpy(__entry->name, dev->name, VBE_NAME_MAX);
		__entry->fe_addr = fe_addr;
		__entry->pages = pages;
		__entry->scratch = scratch;
	),
	TP_printk("%s %#llx %lu pages%s", __entry->name, __entry->fe_addr,
		  __entry->pages, __entry->scratch ? " scratch" : "")
);

TRACE_EVENT(vbe_event,
	TP_PROTO(const struct vbe_device *dev, const struct vbe_event *ev, bool dropped),
	TP_ARGS(dev, ev, dropped),
	TP_STRUCT__entry(
		__array(char, name, VBE_NAME_MAX)
		__field(u32, type)
		__field(u32, queue)
		__field(u64, seq)
		__field(u64, cookie)
		__field(u64, data)
		__field(bool, dropped)
	),
	TP_fast_assign(
		memcpy(__entry->name, dev->name, VBE_NAME_MAX);
		__entry->type = ev->type;
		__entry->queue = ev->queue;
		__entry->seq = ev->seq;
		__entry->cookie = ev->cookie;
		__entry->data = ev->data[0];
		__entry->dropped = dropped;
	),
	TP_printk("%s type %u queue %d seq %llu cookie %llu data %#llx%s", __entry->name,
		  __entry->type, (int)__entry->queue, __entry->seq, __entry->cookie,
		  __entry->data, __entry->dropped ? " dropped" : "")
);

TRACE_EVENT(vbe_state,
	TP_PROTO(const struct vbe_device *dev, u32 state),
	TP_ARGS(dev, state),
	TP_STRUCT__entry(
		__array(char, name, VBE_NAME_MAX)
		__field(u32, state)
		__field(u32, status)
	),
	TP_fast_assign(
		memcpy(__entry->name, dev->name, VBE_NAME_MAX);
		__entry->state = state;
		__entry->status = dev->status;
	),
	TP_printk("%s state %u status %#x", __entry->name, __entry->state, __entry->status)
);

#endif /* VBE_CORE_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
