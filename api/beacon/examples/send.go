// Send one event with Go's own library. THRONG_EVENTS is the address of POST /v1/events, THRONG_KEY a key; the argument is the
// user. A request that is tried again keeps its source and seq, so each event counts once; sent_at is set anew.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

type event struct {
	Name  string         `json:"name"`
	Ts    int64          `json:"ts"`
	User  string         `json:"user"`
	Seq   int            `json:"seq"`
	Props map[string]any `json:"props,omitempty"`
}

func try(source string, events []event) (answer []byte, again bool, err error) {
	body, err := json.Marshal(map[string]any{"sent_at": time.Now().UnixMilli(), "source": source, "events": events})
	if err != nil {
		return nil, false, err
	}
	request, err := http.NewRequest("POST", os.Getenv("THRONG_EVENTS"), bytes.NewReader(body))
	if err != nil {
		return nil, false, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+os.Getenv("THRONG_KEY"))
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return nil, true, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusAccepted {
		err = fmt.Errorf("throng answered %d: %s", response.StatusCode, answer)
		again = response.StatusCode == 429 || response.StatusCode == 503
	}
	return answer, again, err
}

func send(events []event) ([]byte, error) {
	random := make([]byte, 24)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	source := base64.RawURLEncoding.EncodeToString(random)
	for n := 0; ; n++ {
		answer, again, err := try(source, events)
		if err == nil || !again || n == 5 {
			return answer, err
		}
		time.Sleep(time.Second << n)
	}
}

func main() {
	answer, err := send([]event{{Name: "signup", Ts: time.Now().UnixMilli(), User: os.Args[1],
		Props: map[string]any{"method": "email"}}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(string(answer))
}
