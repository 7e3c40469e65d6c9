package cache

// State is what a topic, or the whole instance, is doing.
type State int32

// The states, in the order in which a topic usually goes through them.
const (
	// Starting: Kafka or the topic has not been reached yet; the reason says what is missing.
	Starting State = iota
	// CatchingUp: the log is being read up to its end. Reads answer ErrNotReady.
	CatchingUp
	// Ready: the topic has been at its end and goes on being tailed.
	Ready
	// Stale: ready, but no fetch has succeeded for Config.StaleAfter, or Kafka was not reached since the start, see Config.ServeUnverified. Reads answer
	// what was true then.
	Stale
	// Rebuilding: the store is being made anew from the log; the reason says why. Reads answer ErrNotReady.
	Rebuilding
	// Stopping: Drain was called. Everything goes on being answered until Run's context ends.
	Stopping
	// Failed: the last attempt ended with an error that is the reason; it is tried again.
	Failed
)

var stateNames = [...]string{"Starting", "CatchingUp", "Ready", "Stale", "Rebuilding", "Stopping", "Failed"}

// String is the state's name as it stands in the status.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return "unknown"
	}
	return stateNames[s]
}

// MarshalText is String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
