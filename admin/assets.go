package admin

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed assets
var assetFiles embed.FS

// asset is a file of the page, the same for everybody.
type asset struct {
	data []byte
	tag  string
}

// assets are all files, by their path below assets/.
var assets = func() map[string]asset {
	all := map[string]asset{}
	err := fs.WalkDir(assetFiles, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := assetFiles.ReadFile(name)
		sum := sha256.Sum256(data)
		all[name[len("assets/"):]] = asset{data, `"` + hex.EncodeToString(sum[:8]) + `"`}
		return err
	})
	if err != nil {
		panic("admin: embedded files: " + err.Error()) // they are in the program
	}
	return all
}()

func serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := assets[r.PathValue("file")]
	if !ok {
		writeError(w, http.StatusNotFound, "no such path")
		return
	}
	w.Header().Set("Cache-Control", "no-cache") // kept, and asked for by its tag
	w.Header().Set("ETag", a.tag)
	if path.Ext(r.PathValue("file")) == "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	http.ServeContent(w, r, r.PathValue("file"), time.Time{}, bytes.NewReader(a.data))
}
