package respserver

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/yolean/kafka-cache/respserver/resp"
)

var errNoTarget = errors.New("ERR The client ID you want redirect to does not exist")

// trackingOf is what CLIENT TRACKING asks for, or why it cannot be had.
func (c *conn) trackingOf(args [][]byte) (*tracking, string) {
	tr := &tracking{conn: c}
	noLoop := false
	for i := 3; i < len(args); i++ {
		switch more := i+1 < len(args); {
		case is(args[i], "redirect") && more:
			i++
			if tr.redirect != 0 {
				return nil, "ERR A client can only redirect to a single other client"
			}
			id, ok := parseInt(args[i])
			if !ok {
				return nil, notInteger
			}
			if tr.target = c.redirectable(id); tr.target == nil {
				return nil, errNoTarget.Error()
			}
			tr.redirect = id
		case is(args[i], "bcast"):
			tr.bcast = true
		case is(args[i], "optin"):
			tr.optIn = true
		case is(args[i], "optout"):
			tr.optOut = true
		case is(args[i], "noloop"):
			noLoop = true
		case is(args[i], "prefix") && more:
			i++
			if len(args[i]) > prefixMost || len(tr.prefixes) >= prefixesMost {
				return nil, "ERR a connection has at most " + strconv.Itoa(prefixesMost) + " prefixes of " + strconv.Itoa(prefixMost) + " bytes here"
			}
			tr.prefixes = append(tr.prefixes, string(args[i]))
		default:
			return nil, syntax
		}
	}
	if noLoop {
		tr.own = newOwnWrites(c.srv)
	}
	return tr, ""
}

// redirectable is the connection with an id, where it may be told what this one reads: it is the same user's. Another one's is not told from one that there is not.
func (c *conn) redirectable(id int64) *conn {
	if id == c.id {
		return c
	}
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	to := c.srv.conns[id]
	if to == nil || to.needsAuth.Load() || to.user.Load().name != c.user.Load().name {
		return nil
	}
	return to
}

// conflict is why tr cannot follow what the connection has asked for before; empty where it can.
func (tr *tracking) conflict(before *tracking) string {
	switch {
	case len(tr.prefixes) > 0 && !tr.bcast:
		return "ERR PREFIX option requires BCAST mode to be enabled"
	case before != nil && before.bcast != tr.bcast:
		return "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."
	case tr.bcast && (tr.optIn || tr.optOut):
		return "ERR OPTIN and OPTOUT are not compatible with BCAST"
	case tr.optIn && tr.optOut:
		return "ERR You can't specify both OPTIN mode and OPTOUT mode"
	case before != nil && (tr.optIn && before.optOut || tr.optOut && before.optIn):
		return "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode."
	}
	return ""
}

// joinPrefixes adds the prefixes that there are already, and says which overlap: a key is to have one of them.
func (tr *tracking) joinPrefixes(before *tracking) string {
	if !tr.bcast {
		return ""
	}
	var old []string
	if before != nil {
		old = before.prefixes
	}
	overlap := func(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }
	for i, p := range tr.prefixes {
		for _, q := range old {
			if overlap(p, q) && p != q {
				return "ERR Prefix '" + clip([]byte(p), len(p)) + "' overlaps with an existing prefix '" + clip([]byte(q), len(q)) + "'. Prefixes for a single client must not overlap."
			}
		}
		for _, q := range tr.prefixes[i+1:] {
			if overlap(p, q) {
				return "ERR Prefix '" + clip([]byte(p), len(p)) + "' overlaps with another provided prefix '" + clip([]byte(q), len(q)) + "'. Prefixes for a single client must not overlap."
			}
		}
	}
	if len(tr.prefixes) == 0 {
		tr.prefixes = []string{""}
	}
	tr.prefixes = append(tr.prefixes, old...)
	slices.Sort(tr.prefixes)
	tr.prefixes = slices.Compact(tr.prefixes)
	if len(tr.prefixes) > prefixesMost {
		return "ERR a connection has at most " + strconv.Itoa(prefixesMost) + " prefixes here"
	}
	return ""
}

func runClientTracking(c *conn, args [][]byte) {
	tr, why := c.trackingOf(args)
	before := c.track.Load()
	switch {
	case why != "":
	case is(args[2], "off"):
		c.untrack()
		if c.exec == nil {
			c.emitOutOfBand() // nothing of it follows the reply
		}
		c.ok()
		return
	case !is(args[2], "on"):
		why = syntax
	default:
		if why = tr.conflict(before); why == "" {
			why = tr.joinPrefixes(before)
		}
	}
	if why != "" {
		c.fail(why)
		return
	}
	if tr.bytes = tr.prefixBytes(); tr.bytes >= largeReply && !c.reserve(tr.bytes) {
		return
	}
	if err := c.srv.tracking.set(tr); err != nil {
		c.fail(err.Error())
		return
	}
	c.ok()
}

func runClientCaching(c *conn, args [][]byte) {
	tr := c.track.Load()
	yes := is(args[2], "yes")
	switch {
	case tr == nil:
		c.fail("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
		return
	case !yes && !is(args[2], "no"):
		c.fail(syntax)
		return
	case yes && !tr.optIn:
		c.fail("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
		return
	case !yes && !tr.optOut:
		c.fail("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
		return
	case yes:
		tr.caching = 1
	default:
		tr.caching = -1
	}
	c.ok()
}

func runClientTrackingInfo(c *conn, _ [][]byte) {
	flags, prefixes, redirect := []string{"off"}, []string(nil), int64(-1)
	if tr := c.track.Load(); tr != nil {
		flags, prefixes, redirect = []string{"on"}, tr.prefixes, tr.redirect
		for _, f := range []struct {
			name string
			on   bool
		}{
			{"bcast", tr.bcast}, {"optin", tr.optIn}, {"caching-yes", tr.caching > 0}, {"optout", tr.optOut}, {"caching-no", tr.caching < 0}, {"noloop", tr.own != nil},
			{"broken_redirect", tr.broken.Load()},
		} {
			if f.on {
				flags = append(flags, f.name)
			}
		}
	}
	c.out = resp.AppendMap(c.out, c.proto, 3)
	c.out = resp.AppendBulkString(c.out, "flags")
	c.out = resp.AppendSet(c.out, c.proto, len(flags))
	for _, f := range flags {
		c.out = resp.AppendBulkString(c.out, f)
	}
	c.out = resp.AppendBulkString(c.out, "redirect")
	c.out = resp.AppendInt(c.out, redirect)
	c.out = resp.AppendBulkString(c.out, "prefixes")
	c.out = resp.AppendArray(c.out, len(prefixes))
	for _, p := range prefixes {
		c.out = resp.AppendBulkString(c.out, p)
	}
}

func runClientGetRedir(c *conn, _ [][]byte) {
	redirect := int64(-1)
	if tr := c.track.Load(); tr != nil {
		redirect = tr.redirect
	}
	c.out = resp.AppendInt(c.out, redirect)
}
