package integration_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// file sends a request about the box's files.
func (w *shellWorld) file(method, query string, body io.Reader, header ...string) (*http.Response, string) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, w.base+"/api/containers/"+w.box.Name+"/files?"+query, body)
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		w.Fatal(err)
	}
	return res, string(text)
}

func (w *shellWorld) problem(method, query string, body io.Reader, status int, code string, header ...string) {
	w.Helper()
	if res, text := w.file(method, query, body, header...); res.StatusCode != status || !strings.Contains(text, `"code":"`+code+`"`) {
		w.Errorf("%s %s: %s %s; want %d %s", method, query, res.Status, text, status, code)
	}
}

func TestFilesOfAContainerOverHTTP(t *testing.T) {
	w := newShellWorld(t)
	put := func(query, text string, header ...string) *http.Response {
		t.Helper()
		res, answer := w.file("PUT", query, strings.NewReader(text), header...)
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", query, res.Status, answer)
		}
		return res
	}
	first := put("path=/tmp/a.txt", "grüße\n", "If-None-Match", "*").Header.Get("ETag")
	w.problem("PUT", "path=/tmp/a.txt", strings.NewReader("x"), 412, "changed_meanwhile", "If-None-Match", "*")
	res, text := w.file("GET", "text=true&path=/tmp/a.txt", nil)
	if text != "grüße\n" || res.Header.Get("ETag") != first || first == "" || res.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%v %q", res.Header, text)
	}
	var edits sync.WaitGroup
	var mu sync.Mutex
	codes := map[int]int{}
	for i := range 4 { // only one of those who edit at the same time may win
		edits.Go(func() {
			res, _ := w.file("PUT", "path=/tmp/../tmp/a.txt", strings.NewReader(fmt.Sprint("edit ", i)), "If-Match", first)
			mu.Lock()
			defer mu.Unlock()
			codes[res.StatusCode]++
		})
	}
	edits.Wait()
	if codes[200] != 1 || codes[412] != 3 {
		t.Errorf("edits: %v", codes)
	}
	put("path=/tmp/bin%20%22%E2%82%AC%22.dat", "\x00\xff")
	res, text = w.file("GET", "download=true&path=/tmp/bin%20%22%E2%82%AC%22.dat", nil)
	if text != "\x00\xff" || res.Header.Get("Content-Disposition") != "attachment; filename*=utf-8''bin%20_%E2%82%AC_.dat" || res.Header.Get("Content-Length") != "2" {
		t.Errorf("%q %v", text, res.Header)
	}
	res, text = w.file("GET", "download=true&path=/tmp", nil)
	if res.Header.Get("Content-Type") != "application/x-tar" || !strings.Contains(res.Header.Get("Content-Disposition"), "tmp.tar") || !strings.Contains(text, "tmp/a.txt") {
		t.Errorf("%v", res.Header)
	}
	big := bytes.Repeat([]byte("x"), 100<<20)
	if res, text := w.file("PUT", "path=/tmp/big", bytes.NewReader(big)); res.StatusCode != http.StatusOK {
		t.Errorf("%s %s", res.Status, text)
	}
	w.problem("GET", "text=true&path=/tmp/big", nil, 409, "file_too_large")
	w.problem("PUT", "path=/tmp/big", bytes.NewReader(append(big, 'x')), 413, "body_too_large")
	w.problem("PUT", "path=/tmp/big", io.MultiReader(bytes.NewReader(big), strings.NewReader("x")), 413, "body_too_large") // of unknown length
	var list struct {
		Path  string
		Cut   bool
		Files []struct {
			Name, Type, Mode string
			Size, UID        int
		}
	}
	_, text = w.file("GET", "path=/tmp/", nil)
	if err := json.Unmarshal([]byte(text), &list); err != nil || list.Path != "/tmp" || list.Cut || len(list.Files) != 3 || list.Files[1].Name != "big" ||
		list.Files[1].Size != 100<<20 || list.Files[0].Mode != "0644" || list.Files[0].Type != "file" {
		t.Errorf("%+v, %v", list, err)
	}
	for query, want := range map[string]string{
		"path=/nowhere": "file_not_found", "path=/tmp/a.txt": "file_is_no_folder", "path=/proc/1/root/etc": "file_is_virtual", "path=/bin/sh&download=true": "file_is_link",
		"path=/bin/sh&text=true": "file_is_link", "path=/bin/busybox&text=true": "file_too_large", "path=/tmp/bin%20%22%E2%82%AC%22.dat&text=true": "file_is_no_text", "path=/tmp&text=true": "file_is_folder",
	} {
		w.problem("GET", query, nil, map[bool]int{true: 404, false: 409}[want == "file_not_found"], want)
	}
	for _, query := range []string{"", "path=", "path=tmp", "path=../etc", "path=%2Ftmp%00x", "path=/" + strings.Repeat("x", 5000), "path=/tmp&x=y", "path=/tmp&download=maybe"} {
		w.problem("GET", query, nil, 422, "validation_failed")
	}
	w.problem("PUT", "path=/bin/sh", strings.NewReader("x"), 409, "file_is_special")
	w.problem("PUT", "path=/", strings.NewReader("x"), 409, "file_is_folder")
	w.problem("DELETE", "path=/tmp", nil, 409, "file_is_folder")
	w.problem("DELETE", "path=/&recursive=true", nil, 409, "file_is_folder")
	if res, text := w.file("DELETE", "path=/tmp/big", nil); res.StatusCode != http.StatusNoContent {
		t.Errorf("%s %s", res.Status, text)
	}
	if res, text := w.file("DELETE", "path=/tmp&recursive=true", nil); res.StatusCode != http.StatusNoContent {
		t.Errorf("%s %s", res.Status, text)
	}
	w.problem("GET", "path=/tmp", nil, 404, "file_not_found")
	w.recordedAs("ann writeFile " + w.box.Name + " ok: /tmp/a.txt")
	w.recordedAs("ann writeFile " + w.box.Name + " refused: changed_meanwhile; /tmp/a.txt")
	w.recordedAs("ann readFiles " + w.box.Name + " ok: /tmp; download")
	w.recordedAs("ann removeFile " + w.box.Name + " ok: /tmp; with all that is in it")
}
