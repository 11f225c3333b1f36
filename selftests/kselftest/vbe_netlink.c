// SPDX-License-Identifier: GPL-2.0
/*
 * Every command and dump of the genl family "vbe", with good and bad requests;
 * who may; what the extack text says; events; dumps during changes.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/vbe_netlink.h>

#include "kselftest_harness.h"

#include "check.h"
#include "dev.h"
#include "nl.h"

#define NAME	"kst-netlink"
#define NAME31	"kst-0123456789012345678901234ab"
#define MANY	100

/**
 * struct at - an attribute of a request
 * @type: 0 ends the list
 * @len: of @v: 4, 8, or 0 for a flag; STR for @s
 */
struct at {
	uint16_t type;
	int len;
	uint64_t v;
	const char *s;
};

#define STR		-1
#define S(_t, _s)	{ VBE_ATTR_##_t, STR, 0, _s }
#define U32(_t, _v)	{ VBE_ATTR_##_t, 4, _v, NULL }
#define U64(_t, _v)	{ VBE_ATTR_##_t, 8, _v, NULL }
#define FLAG(_t)	{ VBE_ATTR_##_t, 0, 0, NULL }

/**
 * struct bad - a request that must be refused
 * @err: errno; ERANGE stands for EINVAL or ERANGE, as the policy may say either
 * @word: what the text must name; NULL: that, or the place, is the kernel's own
 */
struct bad {
	const char *what;
	uint8_t cmd;
	uint16_t flags;
	int err;
	const char *word;
	struct at at[4];
};

static void build(struct nl *nl, struct nl_msg *m, uint8_t cmd, uint16_t flags,
		  const struct at *at, size_t n)
{
	nl_start(nl, m, cmd, flags);
	for (; n-- && at->type; at++) {
		if (at->len == STR)
			nl_put_str(m, at->type, at->s);
		else
			nl_put(m, at->type, &at->v, at->len);
	}
}

FIXTURE(netlink)
{
	struct nl nl;
};

FIXTURE_SETUP(netlink)
{
	struct dev_params p = dev_defaults(NAME);

	ASSERT_EQ(0, nl_open(&self->nl))
		TH_LOG("no genl family 'vbe': is the module loaded?");
	ASSERT_EQ(0, dev_fresh(&p))
		TH_LOG("cannot make a loop device: %s", dev_text);
}

FIXTURE_TEARDOWN(netlink)
{
	int ret = dev_del(NAME);

	EXPECT_TRUE(ret == 0 || ret == -ENOENT)
		TH_LOG("dev del: %d %s", ret, dev_text);
	nl_close(&self->nl);
}

static void check_refused(struct __test_metadata *_metadata, struct nl *nl,
			  const struct bad *b)
{
	struct nl_msg m;
	int ret;

	build(nl, &m, b->cmd, b->flags, b->at, ARRAY_LEN(b->at));
	ret = nl_talk(nl, &m, NULL, NULL);
	EXPECT_TRUE(ret == -b->err || (b->err == ERANGE && ret == -EINVAL))
		TH_LOG("%s: %d (%s)", b->what, ret, nl->text);
	EXPECT_NE(0, nl->text[0])
		TH_LOG("%s: no extack text", b->what);
	EXPECT_TRUE(b->word ? strstr(nl->text, b->word) != NULL : nl->offset || nl->miss)
		TH_LOG("%s: '%s' neither names %s nor points at it", b->what, nl->text,
		       b->word ? b->word : "the attribute");
}

#define NEW(...)	.cmd = VBE_CMD_DEV_NEW, .at = { __VA_ARGS__ }
#define SET(...)	.cmd = VBE_CMD_DEV_SET, .at = { __VA_ARGS__ }
#define LOOP		S(PROVIDER, "loop")
#define X		"kst-x"

static const struct bad bad_new[] = {
	{ "no attribute at all", NEW({ 0 }), .err = EINVAL, .word = "name" },
	{ "no name", NEW(LOOP), .err = EINVAL, .word = "name" },
	{ "no provider", NEW(S(NAME, X)), .err = EINVAL, .word = "provider" },
	{ "empty name", NEW(S(NAME, ""), LOOP), .err = EINVAL, .word = "name" },
	{ "name of 32", NEW(S(NAME, NAME31 "c"), LOOP), .err = ERANGE },
	{ "name with a blank", NEW(S(NAME, "a b"), LOOP), .err = EINVAL, .word = "name" },
	{ "name with a slash", NEW(S(NAME, "a/b"), LOOP), .err = EINVAL, .word = "name" },
	{ "name with %", NEW(S(NAME, "a%sb"), LOOP), .err = EINVAL, .word = "name" },
	{ "name with newline", NEW(S(NAME, "a\n"), LOOP), .err = EINVAL, .word = "name" },
	{ "name with Latin-1", NEW(S(NAME, "caf\xe9"), LOOP), .err = EINVAL, .word = "name" },
	{ "name with UTF-8", NEW(S(NAME, "caf\xc3\xa9"), LOOP), .err = EINVAL, .word = "name" },
	{ "name that begins with .", NEW(S(NAME, ".a"), LOOP), .err = EINVAL, .word = "name" },
	{ "name that begins with -", NEW(S(NAME, "-a"), LOOP), .err = EINVAL, .word = "name" },
	{ "name that is taken", NEW(S(NAME, NAME), LOOP), .err = EEXIST, .word = "name" },
	{ "name as a number", NEW(U32(NAME, 0x41414141), LOOP), .err = EINVAL },
	{ "unknown provider", NEW(S(NAME, X), S(PROVIDER, "nobody")), .err = ENOENT,
	  .word = "provider" },
	{ "provider with a path", NEW(S(NAME, X), S(PROVIDER, "../loop")), .err = EINVAL,
	  .word = "provider" },
	{ "empty provider", NEW(S(NAME, X), S(PROVIDER, "")), .err = EINVAL,
	  .word = "provider" },
	{ "provider of 32", NEW(S(NAME, X), S(PROVIDER, NAME31 "c")), .err = ERANGE },
	{ "unknown transport", NEW(S(NAME, X), LOOP, S(TRANSPORT, "pigeon")), .err = ENOENT,
	  .word = "transport" },
	{ "window of 0", NEW(S(NAME, X), LOOP, U64(WINDOW_SIZE, 0)), .err = ERANGE },
	{ "window of 4095", NEW(S(NAME, X), LOOP, U64(WINDOW_SIZE, 4095)), .err = ERANGE },
	{ "window past 1 TiB", NEW(S(NAME, X), LOOP, U64(WINDOW_SIZE, (1ULL << 40) + 1)),
	  .err = ERANGE },
	{ "window of 2^64-1", NEW(S(NAME, X), LOOP, U64(WINDOW_SIZE, ~0ULL)), .err = ERANGE },
	{ "window of four bytes", NEW(S(NAME, X), LOOP, U32(WINDOW_SIZE, 65536)),
	  .err = ERANGE },
	{ "virtio id 0", NEW(S(NAME, X), LOOP, U32(VIRTIO_ID, 0)), .err = ERANGE },
	{ "virtio id 65536", NEW(S(NAME, X), LOOP, U32(VIRTIO_ID, 65536)), .err = ERANGE },
	{ "loss policy 3", NEW(S(NAME, X), LOOP, U32(LOSS_POLICY, 3)), .err = ERANGE },
	{ "loss policy 255", NEW(S(NAME, X), LOOP, U32(LOSS_POLICY, 255)), .err = ERANGE },
	{ "reset time-out 0", NEW(S(NAME, X), LOOP, U32(RESET_TIMEOUT_MS, 0)), .err = ERANGE },
	{ "reset time-out 600001", NEW(S(NAME, X), LOOP, U32(RESET_TIMEOUT_MS, 600001)),
	  .err = ERANGE },
	{ "uid -1", NEW(S(NAME, X), LOOP, U32(UID, 0xffffffff)), .err = EINVAL },
	{ "gid -1", NEW(S(NAME, X), LOOP, U32(GID, 0xffffffff)), .err = EINVAL },
	{ "guest id of 8 bytes", NEW(S(NAME, X), LOOP, U64(GUEST_ID, 1)), .err = ERANGE },
	{ "base of 4 bytes", NEW(S(NAME, X), LOOP, U32(BASE, 4096)), .err = ERANGE },
	{ "empty path", NEW(S(NAME, X), LOOP, S(PATH, "")), .err = EINVAL, .word = "path" },
	{ "vdev, of answers", NEW(S(NAME, X), LOOP, S(VDEV, "xvda")), .err = EINVAL },
	{ "an attribute of another command", NEW(S(NAME, X), LOOP, FLAG(RESIZE)),
	  .err = EINVAL },
	{ "an attribute of answers", NEW(S(NAME, X), LOOP, U32(STATE, 2)), .err = EINVAL },
	{ "the next unknown attribute",
	  NEW(S(NAME, X), LOOP, { VBE_ATTR_MAX + 1, 4, 1, NULL }), .err = EINVAL },
	{ "a far unknown attribute", NEW(S(NAME, X), LOOP, { 0x3000, 4, 1, NULL }),
	  .err = EINVAL },
};

TEST_F(netlink, new_bad)
{
	struct dev_state st;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad_new); i++) {
		check_refused(_metadata, &self->nl, &bad_new[i]);
		EXPECT_EQ(-ENOENT, dev_get(X, &st))
			TH_LOG("%s: a device was made", bad_new[i].what);
		dev_del(X);
	}
}

/* Not for the policy, but for this provider: refused with a reason of its own. */
TEST_F(netlink, new_window_of_no_use)
{
	struct bad b[] = {
		{ "window of 1 TiB", NEW(S(NAME, X), LOOP, U64(WINDOW_SIZE, 1ULL << 40)),
		  .err = EINVAL, .word = "window" },
		{ "window of a page", NEW(S(NAME, X), LOOP, U64(WINDOW_SIZE, 4096)),
		  .err = EINVAL, .word = "window" },
	};

	check_refused(_metadata, &self->nl, &b[0]);
	check_refused(_metadata, &self->nl, &b[1]);
}

/* The loop is in no guest. */
TEST_F(netlink, new_in_a_guest)
{
	struct bad b[] = {
		{ "guest id", NEW(S(NAME, X), LOOP, U32(GUEST_ID, 1)),
		  .err = EINVAL, .word = "guest-id" },
		{ "base", NEW(S(NAME, X), LOOP, U64(BASE, 4096)),
		  .err = EINVAL, .word = "base" },
		{ "irq", NEW(S(NAME, X), LOOP, U32(IRQ, 33)), .err = EINVAL, .word = "irq" },
		{ "grants", NEW(S(NAME, X), LOOP, FLAG(GRANTS)),
		  .err = EINVAL, .word = "grants" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(b); i++)
		check_refused(_metadata, &self->nl, &b[i]);
}

static const struct bad bad_others[] = {
	{ "del without name", VBE_CMD_DEV_DEL, .err = EINVAL, .word = "name" },
	{ "del of nobody", VBE_CMD_DEV_DEL, .at = { S(NAME, X) }, .err = ENOENT,
	  .word = "name" },
	{ "del of a long name", VBE_CMD_DEV_DEL, .at = { S(NAME, NAME31 "c") }, .err = ERANGE },
	{ "del with more", VBE_CMD_DEV_DEL, .at = { S(NAME, NAME), LOOP }, .err = EINVAL },
	{ "set without name", SET(U32(UID, 5)), .err = EINVAL, .word = "name" },
	{ "set of nobody", SET(S(NAME, X), U32(UID, 5)), .err = ENOENT, .word = "name" },
	{ "set of nothing", SET(S(NAME, NAME)), .err = EINVAL, .word = "nothing" },
	{ "set of the provider", SET(S(NAME, NAME), LOOP), .err = EINVAL },
	{ "set of the window", SET(S(NAME, NAME), U64(WINDOW_SIZE, 65536)), .err = EINVAL },
	{ "set of the type", SET(S(NAME, NAME), U32(VIRTIO_ID, 2)), .err = EINVAL },
	{ "set loss policy 3", SET(S(NAME, NAME), U32(LOSS_POLICY, 3)), .err = ERANGE },
	{ "set time-out 0", SET(S(NAME, NAME), U32(RESET_TIMEOUT_MS, 0)), .err = ERANGE },
	{ "set time-out 600001", SET(S(NAME, NAME), U32(RESET_TIMEOUT_MS, 600001)),
	  .err = ERANGE },
	{ "set uid -1", SET(S(NAME, NAME), U32(UID, 0xffffffff)), .err = EINVAL },
	{ "resize with a value", SET(S(NAME, NAME), U32(RESIZE, 1)), .err = ERANGE },
	{ "resize without backend", SET(S(NAME, NAME), FLAG(RESIZE)), .err = ENOTCONN,
	  .word = "backend" },
	{ "get without name", VBE_CMD_DEV_GET, .err = EINVAL, .word = "name" },
	{ "get of nobody", VBE_CMD_DEV_GET, .at = { S(NAME, X) }, .err = ENOENT,
	  .word = "name" },
	{ "get with an unknown attribute", VBE_CMD_DEV_GET,
	  .at = { S(NAME, NAME), { VBE_ATTR_MAX + 1, 4, 1, NULL } }, .err = EINVAL },
	{ "queues without name", VBE_CMD_QUEUE_GET, NLM_F_DUMP, .err = EINVAL, .word = "name" },
	{ "queues of nobody", VBE_CMD_QUEUE_GET, NLM_F_DUMP, .at = { S(NAME, X) },
	  .err = ENOENT, .word = "name" },
	{ "windows without name", VBE_CMD_WINDOW_GET, NLM_F_DUMP, .err = EINVAL,
	  .word = "name" },
	{ "windows of nobody", VBE_CMD_WINDOW_GET, NLM_F_DUMP, .at = { S(NAME, X) },
	  .err = ENOENT, .word = "name" },
	{ "device dump with an unknown attribute", VBE_CMD_DEV_GET, NLM_F_DUMP,
	  .at = { { VBE_ATTR_MAX + 1, 4, 1, NULL } }, .err = EINVAL },
	{ "provider dump with an unknown attribute", VBE_CMD_PROVIDER_GET, NLM_F_DUMP,
	  .at = { { VBE_ATTR_MAX + 1, 4, 1, NULL } }, .err = EINVAL },
};

TEST_F(netlink, others_bad)
{
	struct dev_state st;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad_others); i++)
		check_refused(_metadata, &self->nl, &bad_others[i]);
	ASSERT_EQ(0, dev_get(NAME, &st));
	EXPECT_EQ(VBE_LOSS_HOLD, st.loss);
	EXPECT_EQ(5000, st.reset_ms);
}

TEST_F(netlink, unknown_commands)
{
	uint8_t cmd[] = { VBE_CMD_UNSPEC, VBE_CMD_DEV_NTF, VBE_CMD_MAX + 1, 255 };
	struct nl_msg m;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cmd); i++) {
		nl_start(&self->nl, &m, cmd[i], 0);
		EXPECT_EQ(-EOPNOTSUPP, nl_talk(&self->nl, &m, NULL, NULL))
			TH_LOG("command %d", cmd[i]);
		nl_start(&self->nl, &m, cmd[i], NLM_F_DUMP);
		EXPECT_EQ(-EOPNOTSUPP, nl_talk(&self->nl, &m, NULL, NULL))
			TH_LOG("dump of command %d", cmd[i]);
	}
	/* dump only, do only */
	nl_start(&self->nl, &m, VBE_CMD_QUEUE_GET, 0);
	EXPECT_EQ(-EOPNOTSUPP, nl_talk(&self->nl, &m, NULL, NULL));
	nl_start(&self->nl, &m, VBE_CMD_DEV_NEW, NLM_F_DUMP);
	EXPECT_EQ(-EOPNOTSUPP, nl_talk(&self->nl, &m, NULL, NULL));
}

/* Messages that are broken as such. */
TEST_F(netlink, malformed)
{
	struct nlattr *a;
	struct nl_msg m;
	size_t at;

	nl_start(&self->nl, &m, VBE_CMD_DEV_DEL, 0);
	at = m.len;
	nl_put_str(&m, VBE_ATTR_NAME, NAME);
	a = (void *)(m.buf + at);
	a->nla_len = 4000;			/* past the message */
	EXPECT_EQ(-EINVAL, nl_talk(&self->nl, &m, NULL, NULL));
	a->nla_len = 2;				/* less than its header */
	EXPECT_EQ(-EINVAL, nl_talk(&self->nl, &m, NULL, NULL));
	nl_start(&self->nl, &m, VBE_CMD_DEV_DEL, 0);
	nl_put(&m, VBE_ATTR_NAME, "kst-no-nul-at-all-in-these-31-bytes", 40);
	EXPECT_GT(0, nl_talk(&self->nl, &m, NULL, NULL));
	nl_start(&self->nl, &m, VBE_CMD_DEV_DEL, 0);
	nl_put(&m, VBE_ATTR_NAME, NULL, 0);	/* no byte of a name */
	EXPECT_GT(0, nl_talk(&self->nl, &m, NULL, NULL));
	EXPECT_NE(0, self->nl.text[0]);
	/* no payload, not even a genl header */
	nl_start(&self->nl, &m, VBE_CMD_DEV_DEL, 0);
	m.len = NLMSG_HDRLEN;
	EXPECT_EQ(-EINVAL, nl_talk(&self->nl, &m, NULL, NULL));
	/* The device is still there, and the socket still works. */
	EXPECT_EQ(0, dev_del(NAME));
}

/* ---- good ------------------------------------------------------------------------ */

TEST_F(netlink, longest_name)
{
	struct dev_state st;

	ASSERT_EQ(31, strlen(NAME31));
	dev_del(NAME31);
	ASSERT_EQ(0, dev_add_named(NAME31))
		TH_LOG("%s", dev_text);
	EXPECT_EQ(0, dev_get(NAME31, &st));
	EXPECT_EQ(0, dev_del(NAME31));
	EXPECT_EQ(-ENOENT, dev_get(NAME31, &st));
}

struct seen {
	char name[32];
	uint32_t uid;
	uint32_t gid;
	uint32_t virtio_id;
	uint64_t window;
	uint32_t id;
	uint32_t state;
	int n;
	int hits;
	bool has_gid;
	bool has_backend;
	char provider[32];
	char transport[32];
};

static uint32_t u32_of(const struct nlattr *at, size_t len, uint16_t type)
{
	const struct nlattr *a = nl_attr(at, len, type);

	return a ? nl_get_u32(a) : 0;
}

static void str_of(char *buf, const struct nlattr *at, size_t len, uint16_t type)
{
	const struct nlattr *a = nl_attr(at, len, type);

	snprintf(buf, 32, "%s", a ? nl_get_str(a) : "");
}

static void on_device(void *arg, uint8_t cmd, const struct nlattr *at, size_t len)
{
	struct seen *s = arg;
	const struct nlattr *a;

	(void)cmd;
	s->n++;
	str_of(s->name, at, len, VBE_ATTR_NAME);
	str_of(s->provider, at, len, VBE_ATTR_PROVIDER);
	str_of(s->transport, at, len, VBE_ATTR_TRANSPORT);
	s->uid = u32_of(at, len, VBE_ATTR_UID);
	s->has_gid = nl_attr(at, len, VBE_ATTR_GID);
	s->gid = u32_of(at, len, VBE_ATTR_GID);
	s->id = u32_of(at, len, VBE_ATTR_ID);
	s->state = u32_of(at, len, VBE_ATTR_STATE);
	s->virtio_id = u32_of(at, len, VBE_ATTR_VIRTIO_ID);
	s->has_backend = nl_attr(at, len, VBE_ATTR_BACKEND);
	a = nl_attr(at, len, VBE_ATTR_WINDOW_SIZE);
	s->window = a ? nl_get_uint(a) : 0;
}

static int get_seen(struct nl *nl, const char *name, struct seen *s)
{
	struct nl_msg m;

	memset(s, 0, sizeof(*s));
	nl_start(nl, &m, VBE_CMD_DEV_GET, 0);
	nl_put_str(&m, VBE_ATTR_NAME, name);
	return nl_talk(nl, &m, on_device, s);
}

TEST_F(netlink, new_and_get)
{
	struct at at[] = { S(NAME, X), LOOP, U64(WINDOW_SIZE, 1 << 20), U32(VIRTIO_ID, 9),
			   U32(UID, 1234), U32(GID, 77), U32(LOSS_POLICY, 2),
			   U32(RESET_TIMEOUT_MS, 600000), S(TRANSPORT, "direct") };
	struct dev_state st;
	struct seen s;
	struct nl_msg m;

	dev_del(X);
	build(&self->nl, &m, VBE_CMD_DEV_NEW, 0, at, ARRAY_LEN(at));
	ASSERT_EQ(0, nl_talk(&self->nl, &m, NULL, NULL))
		TH_LOG("%s", self->nl.text);
	ASSERT_EQ(0, get_seen(&self->nl, X, &s));
	EXPECT_EQ(1, s.n);
	EXPECT_STREQ(X, s.name);
	EXPECT_STREQ("loop", s.provider);
	EXPECT_STREQ("direct", s.transport);
	EXPECT_EQ(1234, s.uid);
	EXPECT_EQ(77, s.gid);
	EXPECT_EQ(1 << 20, s.window);
	EXPECT_EQ(9, s.virtio_id);
	EXPECT_EQ(VBE_DEV_EMPTY, s.state);
	EXPECT_FALSE(s.has_backend);
	ASSERT_EQ(0, dev_get(X, &st));
	EXPECT_EQ(VBE_LOSS_FAIL, st.loss);
	EXPECT_EQ(600000, st.reset_ms);
	EXPECT_EQ(0, dev_del(X));
}

TEST_F(netlink, defaults)
{
	struct seen s;

	ASSERT_EQ(0, get_seen(&self->nl, NAME, &s));
	EXPECT_EQ(0, s.uid);
	EXPECT_FALSE(s.has_gid);
	EXPECT_LE(1 << 20, s.window)
		TH_LOG("the default window has %llu bytes", (unsigned long long)s.window);
	EXPECT_NE(0, s.id);
}

TEST_F(netlink, set)
{
	struct at at[] = { S(NAME, NAME), U32(UID, 42), U32(GID, 43), U32(LOSS_POLICY, 1),
			   U32(RESET_TIMEOUT_MS, 1) };
	struct dev_state st;
	struct seen s;
	struct nl_msg m;
	int fd;

	build(&self->nl, &m, VBE_CMD_DEV_SET, 0, at, ARRAY_LEN(at));
	ASSERT_EQ(0, nl_talk(&self->nl, &m, NULL, NULL))
		TH_LOG("%s", self->nl.text);
	ASSERT_EQ(0, get_seen(&self->nl, NAME, &s));
	EXPECT_EQ(42, s.uid);
	EXPECT_EQ(43, s.gid);
	ASSERT_EQ(0, dev_get(NAME, &st));
	EXPECT_EQ(VBE_LOSS_RESET, st.loss);
	EXPECT_EQ(1, st.reset_ms);
	fd = dev_open(NAME);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, dev_get(NAME, &st));
	EXPECT_EQ((uint32_t)getpid(), st.backend_pid);
	EXPECT_EQ(0, dev_resize(NAME));
	close(fd);
}

/* ---- dumps ------------------------------------------------------------------------- */

static void count_hits(void *arg, uint8_t cmd, const struct nlattr *at, size_t len)
{
	struct seen *s = arg;
	char name[32];

	(void)cmd;
	s->n++;
	str_of(name, at, len, VBE_ATTR_NAME);
	if (!strcmp(name, s->name))
		s->hits++;
}

static int dump(struct nl *nl, uint8_t cmd, const char *name, nl_fn fn, void *arg)
{
	struct nl_msg m;

	nl_start(nl, &m, cmd, NLM_F_DUMP);
	if (name)
		nl_put_str(&m, VBE_ATTR_NAME, name);
	return nl_talk(nl, &m, fn, arg);
}

static void on_provider(void *arg, uint8_t cmd, const struct nlattr *at, size_t len)
{
	struct seen *s = arg;
	char name[32], text[32];

	(void)cmd;
	str_of(name, at, len, VBE_ATTR_PROVIDER);
	if (strcmp(name, "loop"))
		return;
	s->hits++;
	str_of(s->transport, at, len, VBE_ATTR_TRANSPORT);
	str_of(text, at, len, VBE_ATTR_DESCRIPTION);
	s->n += text[0] != 0;
}

TEST_F(netlink, providers)
{
	struct seen s = { .n = 0 };

	ASSERT_EQ(0, dump(&self->nl, VBE_CMD_PROVIDER_GET, NULL, on_provider, &s));
	EXPECT_EQ(1, s.hits);
	EXPECT_EQ(1, s.n)
		TH_LOG("no description");
	EXPECT_STREQ("direct", s.transport);
}

TEST_F(netlink, dump_many)
{
	char name[32];
	struct seen s;
	int i;

	for (i = 0; i < MANY; i++) {
		struct dev_params p = dev_defaults(name);

		snprintf(name, sizeof(name), "kst-many-%d", i);
		p.window = 1 << 20;
		ASSERT_EQ(0, dev_fresh(&p))
			TH_LOG("device %d: %s", i, dev_text);
	}
	for (i = 0; i < MANY; i++) {
		memset(&s, 0, sizeof(s));
		snprintf(s.name, sizeof(s.name), "kst-many-%d", i);
		ASSERT_EQ(0, dump(&self->nl, VBE_CMD_DEV_GET, NULL, count_hits, &s));
		EXPECT_EQ(1, s.hits)
			TH_LOG("%s is %d times in the dump", s.name, s.hits);
		EXPECT_LE(MANY + 1 - i, s.n);
		EXPECT_EQ(0, dev_del(s.name));
	}
}

struct queues {
	int n;
	uint32_t expect;
	bool order;
};

static void on_queue(void *arg, uint8_t cmd, const struct nlattr *at, size_t len)
{
	const struct nlattr *nest = nl_attr(at, len, VBE_ATTR_QUEUE), *a;
	struct queues *q = arg;

	(void)cmd;
	if (!nest)
		return;
	a = nl_attr((const void *)((const char *)nest + NLA_HDRLEN),
		    nest->nla_len - NLA_HDRLEN, VBE_QUEUE_ATTR_INDEX);
	if (!a || nl_get_u32(a) != q->expect)
		q->order = false;
	q->expect++;
	q->n++;
}

TEST_F(netlink, dump_queues)
{
	struct good_setup *g = calloc(1, sizeof(*g));
	struct queues q = { .order = true };
	int fd = dev_open(NAME), i;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, dump(&self->nl, VBE_CMD_QUEUE_GET, NAME, on_queue, &q));
	EXPECT_EQ(0, q.n);
	good_setup(g);
	g->s.n_queues = VBE_MAX_QUEUES;
	for (i = 0; i < VBE_MAX_QUEUES; i++)
		g->sizes[i] = 8;
	ASSERT_DONE(xioctl(fd, VBE_IOC_DEV_SETUP, &g->s));
	ASSERT_EQ(0, dump(&self->nl, VBE_CMD_QUEUE_GET, NAME, on_queue, &q));
	EXPECT_EQ(VBE_MAX_QUEUES, q.n);
	EXPECT_TRUE(q.order)
		TH_LOG("queues are missing, double or out of order");
	close(fd);
	free(g);
}

static void on_window(void *arg, uint8_t cmd, const struct nlattr *at, size_t len)
{
	(void)cmd;
	*(uint32_t *)arg += nl_attr(at, len, VBE_ATTR_WINDOW) != NULL;
}

TEST_F(netlink, dump_windows)
{
	struct vbe_dev_info i;
	uint32_t n = 0;
	int fd = dev_open(NAME);

	ASSERT_LE(0, fd);
	ASSERT_DONE(dev_info(fd, &i));
	ASSERT_EQ(0, dump(&self->nl, VBE_CMD_WINDOW_GET, NAME, on_window, &n));
	EXPECT_LE(1, n);
	EXPECT_EQ(i.n_windows, n);
	close(fd);
}

struct churn {
	volatile bool stop;
	volatile int rounds;
	volatile int error;
	int id;
};

static void *add_and_delete(void *arg)
{
	struct churn *c = arg;
	char name[32];

	snprintf(name, sizeof(name), "kst-churn-%d", c->id);
	while (!c->stop && !c->error) {
		struct dev_params p = dev_defaults(name);

		p.window = 1 << 20;
		c->error = dev_add(&p);
		if (!c->error)
			c->error = dev_del(name);
		c->rounds++;
	}
	return NULL;
}

static bool has_churned(const struct churn *c)
{
	return c->error || c->rounds > 1;
}

/* What is there all the time is in each dump exactly once. */
TEST_F(netlink, dump_while_changing)
{
	struct churn c[2] = { { .id = 0 }, { .id = 1 } };
	pthread_t t[2];
	int64_t end = now_ms() + 3000;
	int dumps = 0, i;
	struct seen s;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, add_and_delete, &c[i]));
	while (now_ms() < end || dumps <= 5 || !has_churned(&c[0]) || !has_churned(&c[1])) {
		memset(&s, 0, sizeof(s));
		strcpy(s.name, NAME);
		ASSERT_EQ(0, dump(&self->nl, VBE_CMD_DEV_GET, NULL, count_hits, &s));
		ASSERT_EQ(1, s.hits);
		dumps++;
	}
	for (i = 0; i < 2; i++) {
		c[i].stop = true;
		pthread_join(t[i], NULL);
		EXPECT_EQ(0, c[i].error)
			TH_LOG("%s", strerror(-c[i].error));
	}
}

/* A reader that goes away in mid-dump costs nothing. */
TEST_F(netlink, dump_abandoned)
{
	struct nl_msg m;
	struct nl nl;
	int i;

	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, nl_open(&nl));
		nl_start(&nl, &m, VBE_CMD_DEV_GET, NLM_F_DUMP);
		ASSERT_EQ(0, nl_send(&nl, &m));
		nl_close(&nl);
	}
	EXPECT_EQ(0, dev_del(NAME));
}

/* One name, many who want it: one gets it. */
TEST_F(netlink, one_name_one_device)
{
	int round, i, status;

	for (round = 0; round < 10; round++) {
		int made = 0;
		pid_t pid[4];

		for (i = 0; i < 4; i++) {
			pid[i] = fork();
			if (!pid[i])
				_exit(-dev_add_named(X));
		}
		for (i = 0; i < 4; i++) {
			status = wait_child(pid[i], COMES_MS);
			ASSERT_TRUE(status >= 0 && WIFEXITED(status));
			made += WEXITSTATUS(status) == 0;
			if (WEXITSTATUS(status))
				EXPECT_EQ(EEXIST, WEXITSTATUS(status));
		}
		EXPECT_EQ(1, made);
		EXPECT_EQ(0, dev_del(X));
	}
}

/* ---- who may ------------------------------------------------------------------------- */

/* Exit status: 0 as it should be, else which step was not. */
static int as_stranger(void)
{
	struct at set[] = { S(NAME, NAME), U32(UID, NOBODY) };
	struct dev_state st;
	struct nl_msg m;
	struct seen s = { .name = NAME };
	struct nl nl;

	if (nl_open(&nl))
		return 1;
	if (dev_add_named(X) != -EPERM)
		return 2;
	if (dev_del(NAME) != -EPERM)
		return 3;
	build(&nl, &m, VBE_CMD_DEV_SET, 0, set, ARRAY_LEN(set));
	if (nl_talk(&nl, &m, NULL, NULL) != -EPERM)
		return 4;
	if (dev_resize(NAME) != -EPERM)
		return 5;
	if (dev_get(NAME, &st))
		return 6;
	if (dump(&nl, VBE_CMD_DEV_GET, NULL, count_hits, &s) || s.hits != 1)
		return 7;
	if (dump(&nl, VBE_CMD_PROVIDER_GET, NULL, NULL, NULL))
		return 8;
	if (nl_subscribe(&nl))
		return 9;
	return 0;
}

TEST_F(netlink, nobody_may_look_only)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		drop_to_nobody();
		_exit(as_stranger());
	}
	status = wait_child(pid, 10000);
	ASSERT_TRUE(status >= 0 && WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status))
		TH_LOG("step %d of as_stranger()", WEXITSTATUS(status));
}

/* Root of a user namespace is nobody here. */
TEST_F(netlink, namespace_root_may_look_only)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		drop_to_nobody();
		if (unshare(CLONE_NEWUSER))
			_exit(100);
		_exit(as_stranger());
	}
	status = wait_child(pid, 10000);
	ASSERT_TRUE(status >= 0 && WIFEXITED(status));
	if (WEXITSTATUS(status) == 100)
		SKIP(return, "this kernel gives no user namespaces");
	EXPECT_EQ(0, WEXITSTATUS(status))
		TH_LOG("step %d of as_stranger()", WEXITSTATUS(status));
}

/* ---- events ---------------------------------------------------------------------------- */

struct heard {
	uint32_t event;
	uint32_t state;
	uint64_t seq;
	uint64_t time;
	char name[32];
};

static void on_event(void *arg, uint8_t cmd, const struct nlattr *at, size_t len)
{
	struct heard *h = arg;
	const struct nlattr *a;

	h->event = cmd == VBE_CMD_DEV_NTF ? u32_of(at, len, VBE_ATTR_EVENT) : ~0U;
	h->state = u32_of(at, len, VBE_ATTR_STATE);
	str_of(h->name, at, len, VBE_ATTR_NAME);
	a = nl_attr(at, len, VBE_ATTR_EVENT_SEQ);
	h->seq = a ? nl_get_uint(a) : 0;
	a = nl_attr(at, len, VBE_ATTR_EVENT_TIME);
	h->time = a ? nl_get_uint(a) : 0;
}

/* The next events about @name are these, with no gap in the numbers. */
static void expect_events(struct __test_metadata *_metadata, struct nl *nl,
			  const char *name, const uint32_t *want, int n, uint64_t *seq)
{
	struct heard h, before = { .time = 0 };
	int i;

	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, nl_event(nl, on_event, &h, COMES_MS))
			TH_LOG("event %d of %d did not come", i, n);
		EXPECT_STREQ(name, h.name);
		EXPECT_EQ(want[i], h.event)
			TH_LOG("event %d of %d", i, n);
		if (*seq)
			EXPECT_EQ(*seq + 1, h.seq);
		EXPECT_LE(before.time, h.time);
		EXPECT_NE(0, h.time);
		*seq = h.seq;
		before = h;
	}
}

TEST_F(netlink, events)
{
	uint32_t made[] = { VBE_DEV_EVENT_NEW };
	uint32_t opened[] = { VBE_DEV_EVENT_ATTACH };
	uint32_t ready[] = { VBE_DEV_EVENT_STATE };
	uint32_t closed[] = { VBE_DEV_EVENT_DETACH, VBE_DEV_EVENT_STATE };
	uint32_t deleted[] = { VBE_DEV_EVENT_STATE, VBE_DEV_EVENT_DEL };
	struct good_setup *g = calloc(1, sizeof(*g));
	uint64_t seq = 0;
	struct heard h;
	int fd;

	ASSERT_EQ(0, nl_subscribe(&self->nl));
	dev_del(X);
	while (!nl_event(&self->nl, on_event, &h, 0))
		;
	ASSERT_EQ(0, dev_add_named(X));
	expect_events(_metadata, &self->nl, X, made, 1, &seq);
	fd = dev_open(X);
	ASSERT_LE(0, fd);
	expect_events(_metadata, &self->nl, X, opened, 1, &seq);
	good_setup(g);
	ASSERT_DONE(xioctl(fd, VBE_IOC_DEV_SETUP, &g->s));
	expect_events(_metadata, &self->nl, X, ready, 1, &seq);
	close(fd);
	expect_events(_metadata, &self->nl, X, closed, 2, &seq);
	ASSERT_EQ(0, dev_del(X));
	expect_events(_metadata, &self->nl, X, deleted, 2, &seq);
	EXPECT_EQ(-ETIMEDOUT, nl_event(&self->nl, on_event, &h, 100))
		TH_LOG("one event too many: %u", h.event);
	free(g);
}

/* Nobody waits for a listener that does not read. */
TEST_F(netlink, events_to_a_sleeper)
{
	int i, least = 1;
	struct nl deaf;
	char c;

	ASSERT_EQ(0, nl_open(&deaf));
	/* Room for a message or two. */
	ASSERT_EQ(0, setsockopt(deaf.fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)));
	ASSERT_EQ(0, nl_subscribe(&deaf));
	for (i = 0; i < 30; i++) {
		struct dev_params p = dev_defaults(X);

		p.window = 1 << 20;
		ASSERT_EQ(0, dev_add(&p));
		ASSERT_EQ(0, dev_del(X));
	}
	/* It has missed some. */
	EXPECT_EQ(-1, recv(deaf.fd, &c, 1, MSG_DONTWAIT));
	EXPECT_EQ(ENOBUFS, errno);
	nl_close(&deaf);
}

TEST_HARNESS_MAIN
