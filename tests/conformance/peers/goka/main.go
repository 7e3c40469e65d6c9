// Command goka is an application whose only content is a goka View, on goka's defaults but for three things: it reads
// read_committed, it reconnects by itself (WithViewAutoReconnect), and it looks for keys in the partitions where Java's
// clients put them rather than where goka's own emitter does. It answers over HTTP on loopback. Arguments: bootstrap, topic,
// storage directory. Ready is goka's own View.Recovered. When the View ends it is made anew a second later, as whoever
// runs such an application would have it.
//
// /ready, /get?<key in hexadecimal> and /all, a line for each entry: key, space, value in hexadecimal. 200 is an answer, 404
// no such key, 503 no answer now.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: goka BOOTSTRAP TOPIC STORAGE-DIRECTORY")
	}
	if err := run(strings.Split(os.Args[1], ","), os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func run(brokers []string, topic, dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config := goka.DefaultConfig()
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	goka.ReplaceGlobalConfig(config)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	t := &table{}
	mux := http.NewServeMux()
	mux.HandleFunc("/ready", t.ready)
	mux.HandleFunc("/get", t.get)
	mux.HandleFunc("/all", t.all)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	fmt.Println("LISTENING", l.Addr())

	for ctx.Err() == nil {
		if err := t.run(ctx, brokers, goka.Table(topic), dir); err != nil {
			log.Print("the view has ended: ", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	if err := server.Close(); err != nil {
		return err
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// table is the view that runs at the moment.
type table struct {
	mu   sync.RWMutex
	view *goka.View
}

func (t *table) run(ctx context.Context, brokers []string, topic goka.Table, dir string) error {
	view, err := goka.NewView(brokers, topic, new(codec.Bytes), goka.WithViewAutoReconnect(), goka.WithViewHasher(newMurmur2),
		goka.WithViewStorageBuilder(storage.DefaultBuilder(dir)))
	if err != nil {
		return err
	}
	t.set(view)
	defer t.set(nil)
	return view.Run(ctx)
}

func (t *table) set(v *goka.View) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.view = v
}

// use calls f with the view, or answers that there is none.
func (t *table) use(w http.ResponseWriter, f func(v *goka.View) error) {
	t.mu.RLock()
	v := t.view
	t.mu.RUnlock()
	err := errors.New("no view")
	if v != nil {
		err = f(v)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

func (t *table) ready(w http.ResponseWriter, _ *http.Request) {
	t.use(w, func(v *goka.View) error {
		if !v.Recovered() {
			return errors.New("not recovered")
		}
		return nil
	})
}

func (t *table) get(w http.ResponseWriter, r *http.Request) {
	t.use(w, func(v *goka.View) error {
		key, err := hex.DecodeString(r.URL.RawQuery)
		if err != nil {
			return err
		}
		value, err := v.Get(string(key))
		if err != nil {
			return err
		}
		b, ok := value.([]byte)
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return nil
		}
		_, err = io.WriteString(w, hex.EncodeToString(b))
		return err
	})
}

func (t *table) all(w http.ResponseWriter, _ *http.Request) {
	t.use(w, func(v *goka.View) error {
		if !v.Recovered() { // its iterator dereferences a storage that is not there yet
			return errors.New("not recovered")
		}
		it, err := v.Iterator()
		if err != nil {
			return err
		}
		defer it.Release()
		var lines strings.Builder
		for it.Next() {
			value, err := it.Value()
			if err != nil {
				return err
			}
			b, _ := value.([]byte) // nil for an empty value, whose key is named all the same
			fmt.Fprintf(&lines, "%x %x\n", it.Key(), b)
		}
		if err := it.Err(); err != nil {
			return err
		}
		_, err = io.WriteString(w, lines.String())
		return err
	})
}
