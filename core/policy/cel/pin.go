//go:build pin

package cel

// Never built. CEL's protocol buffers are in google.golang.org/genproto/googleapis/api, and were in google.golang.org/genproto
// as well until that was split, in a version that Pebble still asks for: who imports both could not be built. This makes
// every user of this package ask for one from after the split.
import _ "google.golang.org/genproto/protobuf/field_mask"
