// How a device-api drives tope-updater: one whole update, in Go with its standard library alone.
//
//	go run device_api.go -updater http://127.0.0.1:12315 -listen 9080 request.json
//
// request.json holds the body of POST /download. Prints what happens; exit status 0: installed, 1: failed or refused.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"
)

// Progress is what GET /progress answers and what every report carries.
type Progress struct {
	Stage    string  `json:"stage"`
	Progress int     `json:"progress"`
	Message  string  `json:"message"`
	Error    *string `json:"error"`
}

type updater struct {
	url      string
	client   http.Client
	doorbell chan struct{}
}

// takeReport answers at once: a report has 500 ms, and any 2xx will do.
func (u *updater) takeReport(w http.ResponseWriter, r *http.Request) {
	var report Progress
	if err := json.NewDecoder(r.Body).Decode(&report); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
	fmt.Printf("report: %s %d %%\n", report.Stage, report.Progress)
	select {
	case u.doorbell <- struct{}{}:
	default: // it rings already
	}
}

// call fills data with the reply's `data`. A refusal is an error whose text is `CODE: text`.
func (u *updater) call(method, path string, body, data any) error {
	code, msg, err := u.send(method, path, body, data)
	if err == nil && code != 200 {
		err = errors.New(msg)
	}
	return err
}

// progress gives no error for a failed update: that is a stage like others, and `code` is 500 then.
func (u *updater) progress() (now Progress, err error) {
	_, _, err = u.send(http.MethodGet, "/api/v1.0/progress", nil, &now)
	return now, err
}

func (u *updater) send(method, path string, body, data any) (int, string, error) {
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return 0, "", err
		}
	}
	request, err := http.NewRequest(method, u.url+path, &text)
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := u.client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	reply := struct {
		Code int    `json:"code"`
		Msg  string `json:"msg"`
		Data any    `json:"data"`
	}{Data: data}
	err = json.NewDecoder(response.Body).Decode(&reply)
	return reply.Code, reply.Msg, err
}

// waitWhile: a report only rings the bell; what is true is asked for. So a lost, late or repeated report does no harm.
func (u *updater) waitWhile(stages ...string) (Progress, error) {
	for {
		now, err := u.progress()
		if err != nil || !slices.Contains(stages, now.Stage) {
			return now, err
		}
		select {
		case <-u.doorbell:
		case <-time.After(2 * time.Second):
		}
	}
}

// holdUntil renews the hold until the device may be disturbed. If this program dies, the hold ends by itself.
func (u *updater) holdUntil(end time.Time, owner string) error {
	for time.Now().Before(end) {
		hold := map[string]any{"owner": owner, "reason": "a print is running", "ttl_s": 30}
		if err := u.call(http.MethodPost, "/api/v1.0/hold", hold, nil); err != nil {
			return err
		}
		time.Sleep(500 * time.Millisecond)
	}
	return u.call(http.MethodPost, "/api/v1.0/release", map[string]any{"owner": owner}, nil)
}

func (u *updater) update(request map[string]any) (now Progress, err error) {
	var answer struct{ Status string }
	if err = u.call(http.MethodPost, "/api/v1.0/download", request, &answer); err != nil {
		return now, err
	}
	fmt.Println("download:", answer.Status)
	now, err = u.waitWhile("downloading", "verifying")
	if err != nil || now.Stage != "toInstall" {
		return now, err
	}
	held := make(chan error, 1)
	go func() { held <- u.holdUntil(time.Now().Add(time.Second), "device-api") }()
	version := map[string]any{"version": request["version"]}
	if err = u.call(http.MethodPost, "/api/v1.0/update", version, &answer); err != nil {
		return now, err
	}
	fmt.Println("update:", answer.Status)
	now, err = u.waitWhile("installing", "rebooting")
	return now, errors.Join(err, <-held)
}

func run() error {
	url := flag.String("updater", "http://127.0.0.1:12315", "address of the updater")
	port := flag.Int("listen", 9080, "port that takes reports")
	flag.Parse()
	text, err := os.ReadFile(flag.Arg(0))
	if err != nil {
		return err
	}
	var request map[string]any
	if err := json.Unmarshal(text, &request); err != nil {
		return err
	}
	u := &updater{url: *url, client: http.Client{Timeout: 10 * time.Second}, doorbell: make(chan struct{}, 1)}
	http.HandleFunc("POST /api/v1.0/ota/report", u.takeReport)
	go func() {
		fmt.Fprintln(os.Stderr, http.ListenAndServe(fmt.Sprintf("127.0.0.1:%d", *port), nil))
		os.Exit(1)
	}()

	now, err := u.update(request)
	if err != nil {
		return fmt.Errorf("refused: %w", err)
	}
	var history struct {
		Updates []struct{ Version, Outcome string }
	}
	if err := u.call(http.MethodGet, "/api/v1.0/history", nil, &history); err != nil {
		return err
	}
	end := "end: " + now.Stage
	if now.Error != nil {
		end += " " + *now.Error
	}
	if len(history.Updates) > 0 {
		end += " " + history.Updates[0].Version + " " + history.Updates[0].Outcome
	}
	if now.Stage != "success" {
		return errors.New(end)
	}
	fmt.Println(end)
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
