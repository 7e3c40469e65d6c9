package respserver

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	"github.com/yolean/kafka-cache/core/cache"
)

// Right is what a user may do with a topic.
type Right int8

// The rights, each of which includes those before it.
const (
	MayNothing Right = iota
	MayRead
	MayWrite
)

func (r Right) String() string {
	switch r {
	case MayNothing:
		return "none"
	case MayRead:
		return "read"
	case MayWrite:
		return "write"
	}
	return fmt.Sprintf("Right(%d)", int8(r))
}

// DefaultUser is the name of the user that connections have before they log in, and that AUTH with a password alone means.
const DefaultUser = "default"

// maxUserName is what fits into a line of CLIENT LIST.
const maxUserName = 128

// User is one who may log in (AUTH, HELLO … AUTH, or by its client certificate).
type User struct {
	// Name is 1 to 128 printable ASCII characters without blanks.
	Name string
	// Passwords are the hashes of those that log in, made by [HashPassword]. More than one lets an old and a new password work side by side. None:
	// only a certificate logs in; where it is the user default, every connection is it at once.
	Passwords [][sha256.Size]byte
	// Admin allows what is not about one topic and concerns other clients or the instance: CLIENT LIST, KILL and PAUSE, CONFIG, SLOWLOG, LATENCY, ACL LIST.
	Admin bool
	// Topics are the rights on topics by name, and Others those on all that it does not name.
	Topics map[string]Right
	Others Right
}

// HashPassword is the hash by which a password is known: its SHA-256, as in Redis. It is not salted, so a password has to be one that cannot be guessed.
func HashPassword(password []byte) [sha256.Size]byte { return sha256.Sum256(password) }

// account is a user as it is in effect. It does not change.
type account struct {
	name      string
	nameHash  [sha256.Size]byte
	passwords int                 // of hashes, the others are fillers
	hashes    [][sha256.Size]byte // as many as every account has
	open      bool                // no password is asked for
	off       bool                // nobody can log in
	admin     bool
	rights    []Right // by topic
	nobody    bool    // not logged in
	full      bool    // admin, and may write every topic: nothing is to be asked
}

// userTable are all users. It does not change: another one takes its place.
type userTable struct {
	all    []*account // the first is default
	byName map[string]*account
	nobody *account // of connections that have to log in: it has no rights
}

// newUsers makes the table. password is an additional one of the user default, nil: none. Where there are users and none of them is default, that one
// exists only with a password, and may then do everything.
func newUsers(users []User, password []byte, topics []*cache.Topic) (*userTable, error) {
	t := &userTable{byName: map[string]*account{}, nobody: &account{name: DefaultUser, nobody: true, rights: make([]Right, len(topics))}}
	users = slices.Clone(users)
	i := slices.IndexFunc(users, func(u User) bool { return u.Name == DefaultUser })
	off := false
	switch {
	case i < 0:
		off = len(users) > 0 && len(password) == 0
		users = slices.Insert(users, 0, User{Name: DefaultUser, Admin: true, Others: MayWrite})
	case i > 0:
		d := users[i]
		users = slices.Insert(slices.Delete(users, i, i+1), 0, d)
	}
	if len(password) > 0 {
		users[0].Passwords = append(slices.Clone(users[0].Passwords), HashPassword(password))
	}
	most := 1
	for _, u := range users {
		most = max(most, len(u.Passwords))
	}
	for i, u := range users {
		if err := u.validate(topics); err != nil {
			return nil, err
		}
		if t.byName[u.Name] != nil {
			return nil, fmt.Errorf("user %q is given twice", u.Name)
		}
		a := u.account(most, topics)
		a.off = i == 0 && off
		a.open = i == 0 && !off && len(u.Passwords) == 0
		t.all = append(t.all, a)
		t.byName[u.Name] = a
	}
	return t, nil
}

func (u *User) validate(topics []*cache.Topic) error {
	if u.Name == "" || len(u.Name) > maxUserName || !validName([]byte(u.Name)) {
		return fmt.Errorf("%.64q is not a user's name: 1 to %d printable ASCII characters without blanks", u.Name, maxUserName)
	}
	if u.Others < MayNothing || u.Others > MayWrite {
		return fmt.Errorf("user %q: unknown right %d", u.Name, u.Others)
	}
	for name, r := range u.Topics {
		if !slices.ContainsFunc(topics, func(t *cache.Topic) bool { return t.Name() == name }) {
			return fmt.Errorf("user %q: there is no topic %.64q", u.Name, name)
		}
		if r < MayNothing || r > MayWrite {
			return fmt.Errorf("user %q: topic %q: unknown right %d", u.Name, name, r)
		}
	}
	return nil
}

func (u *User) account(hashes int, topics []*cache.Topic) *account {
	a := &account{name: u.Name, nameHash: sha256.Sum256([]byte(u.Name)), passwords: len(u.Passwords), hashes: slices.Clone(u.Passwords), admin: u.Admin, full: u.Admin}
	for len(a.hashes) < hashes {
		var filler [sha256.Size]byte
		_, _ = rand.Read(filler[:]) // never fails
		a.hashes = append(a.hashes, filler)
	}
	for _, t := range topics {
		r, named := u.Topics[t.Name()]
		if !named {
			r = u.Others
		}
		a.rights = append(a.rights, r)
		a.full = a.full && r == MayWrite
	}
	return a
}

// first is who a connection is that has not logged in, and whether that is enough to go on.
func (t *userTable) first() (*account, bool) {
	if d := t.all[0]; d.open {
		return d, true
	}
	return t.nobody, false
}

// asks reports whether whoever connects has to log in.
func (t *userTable) asks() bool { return !t.all[0].open }

// login finds who logs in with a password; nil: nobody. What it does, and so how long it takes, depends on how many users and passwords there are
// and on the lengths of what is given, and neither on which user it is, whether there is one, nor on what is right about the password.
func (t *userTable) login(user, password []byte) *account {
	name, sum := sha256.Sum256(user), sha256.Sum256(password)
	found := -1
	for i, a := range t.all {
		good := bit(a.open)
		for j := range a.hashes {
			good |= subtle.ConstantTimeCompare(sum[:], a.hashes[j][:])
		}
		good &= subtle.ConstantTimeCompare(name[:], a.nameHash[:]) & bit(!a.off)
		found = subtle.ConstantTimeSelect(good, i, found)
	}
	if found < 0 {
		return nil
	}
	return t.all[found]
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// SetUsers replaces users and the additional password of the user default, as [Config] has them, while the server runs. Connections stay logged in, with
// what their user may do from now on, also where its password is another: whoever wants them to log in again ends them (CLIENT KILL USER). Those
// of a user that there is no longer are closed. Where it fails nothing has changed.
func (s *Server) SetUsers(users []User, password []byte) error {
	t, err := newUsers(users, password, s.topics)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if t.asks() != s.users.Load().asks() {
		return fmt.Errorf("%w: %w", ErrConfig, errors.New("whether clients have to log in does not change while the server runs"))
	}
	var fewer []*conn
	defer func() {
		for _, c := range fewer {
			c.mayReadLess()
		}
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users.Store(t)
	for _, c := range s.conns {
		a := c.user.Load()
		switch now := t.byName[a.name]; {
		case a.nobody: // and stays it
		case now == nil || now.off:
			c.end("user")
		default:
			c.user.Store(now)
			if now.readsLess(a) {
				fewer = append(fewer, c)
			}
		}
	}
	return nil
}

// become makes a connection one of a user's. It reports whether that user is still there.
func (c *conn) become(a *account) bool {
	s := c.srv
	s.mu.Lock()
	if a = s.users.Load().byName[a.name]; a == nil || a.off {
		s.mu.Unlock()
		return false
	}
	before := c.user.Load()
	c.user.Store(a)
	s.mu.Unlock()
	if a.readsLess(before) {
		c.srv.tracking.flushOf(c)
	}
	return true
}

// login is what AUTH does. Where the user default has no password it takes any, as in Redis.
func (c *conn) login(user, password []byte) bool {
	a := c.srv.users.Load().login(user, password)
	if a == nil || !c.become(a) {
		c.srv.stats.deniedAuth.Add(1)
		return false
	}
	c.setAuthenticated(true)
	return true
}

// logout makes the connection what it was at first.
func (c *conn) logout() {
	s := c.srv
	s.mu.Lock()
	a, enough := s.users.Load().first()
	c.user.Store(a)
	s.mu.Unlock()
	c.setAuthenticated(enough)
}

// certified logs in the user that the client certificate's common name names, where there is one; the client may still choose another with AUTH.
func (c *conn) certified(state tls.ConnectionState) {
	if len(state.PeerCertificates) == 0 {
		return
	}
	a := c.srv.users.Load().byName[state.PeerCertificates[0].Subject.CommonName]
	if a != nil && c.become(a) {
		c.setAuthenticated(true)
	}
}
