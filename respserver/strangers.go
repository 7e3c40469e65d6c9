package respserver

import "container/list"

// strangers are the connections that have not shown yet who they are: in the TLS handshake, or before they have logged in where that is asked for. There may
// be so many, and the one that is longest a stranger is closed for one more, so that whoever connects and says nothing cannot keep out those who
// log in at once: a newcomer has until as many others have come. It belongs to the Server, whose mu guards it.
type strangers struct {
	all  list.List // of *conn, the longest first
	most int
	// leaving are those that were closed for others and are not gone yet. They do not count as connections.
	leaving int
}

// place reports whether there is room for one more connection, and makes it where strangers can be closed. It is called with mu held.
func (s *Server) place(stranger bool) bool {
	st := &s.strangers
	if st.leaving >= s.cfg.MaxClients {
		return false // they cannot leave as fast as others come
	}
	if len(s.conns)-st.leaving >= s.cfg.MaxClients && !s.closeStranger() {
		return false
	}
	if stranger && st.all.Len() >= st.most {
		s.closeStranger()
	}
	return true
}

// closeStranger closes the one that has been a stranger for longest. It is called with mu held.
func (s *Server) closeStranger() bool {
	st := &s.strangers
	first := st.all.Front()
	if first == nil {
		return false
	}
	c := first.Value.(*conn)
	st.all.Remove(first)
	c.stranger, c.leaving = nil, true
	st.leaving++
	c.end("unauthenticated")
	return true
}

// meet makes a connection a stranger. It is called with mu held.
func (s *Server) meet(c *conn) {
	if c.stranger == nil && !c.leaving {
		c.stranger = s.strangers.all.PushBack(c)
	}
}

// know ends that a connection is a stranger.
func (s *Server) know(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(c)
}

// forget is know with mu held.
func (s *Server) forget(c *conn) {
	if c.stranger != nil {
		s.strangers.all.Remove(c.stranger)
		c.stranger = nil
	}
}

// gone ends that a connection is known of. It is called with mu held.
func (s *Server) gone(c *conn) {
	s.forget(c)
	if c.leaving {
		s.strangers.leaving--
	}
	delete(s.conns, c.id)
}

// relapse makes a connection that has logged out a stranger again.
func (s *Server) relapse(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns[c.id] != c {
		return // which is only being accepted
	}
	if c.stranger == nil && s.strangers.all.Len() >= s.strangers.most {
		s.closeStranger()
	}
	s.meet(c)
}

func (s *Server) strangersNow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.strangers.all.Len()
}
