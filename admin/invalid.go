package admin

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/yolean/kafka-cache/core/cache"
)

// invalid lists the newest records and writes that rules have refused, of all topics or of topic=NAME, the newest first, at most limit=N.
func (s *Server) invalid(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit := 0
	if text := query.Get("limit"); query.Has("limit") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			writeError(w, http.StatusBadRequest, "limit is a number from 1")
			return
		}
		limit = n
	}
	topics := s.cache.Topics()
	if query.Has("topic") {
		topic, err := s.cache.Topic(query.Get("topic"))
		if err != nil {
			writeError(w, http.StatusNotFound, err.Error())
			return
		}
		topics = []*cache.Topic{topic}
	}
	list := []cache.InvalidRecord{} // never null
	for _, t := range topics {
		list = append(list, t.Invalid(limit)...)
	}
	slices.SortStableFunc(list, func(a, b cache.InvalidRecord) int { return b.Time.Compare(a.Time) })
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	writeJSON(w, http.StatusOK, list)
}
