package xmpp

// OpenConnections returns how many connections s serves, for tests.
func (s *Server) OpenConnections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}
