// A verifier that is not ours: an unpacked bundle held against golang.org/x/mod/sumdb (Go's own checksum database code).
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must(err error) {
	if err != nil {
		fmt.Println("NOT GOOD:", err)
		os.Exit(1)
	}
}

func require(good bool, what string) {
	if !good {
		must(fmt.Errorf("%s", what))
	}
}

func read(parts ...string) []byte {
	data, err := os.ReadFile(filepath.Join(parts...))
	must(err)
	return data
}

func hash(text string) tlog.Hash {
	raw, err := base64.StdEncoding.DecodeString(text)
	must(err)
	require(len(raw) == tlog.HashSize, "a hash has another length")
	var h tlog.Hash
	copy(h[:], raw)
	return h
}

// checkpoint opens a signed checkpoint: its size and root.
func checkpoint(signed []byte, verifiers note.Verifiers) (int64, tlog.Hash, string) {
	opened, err := note.Open(signed, verifiers)
	must(err)
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	return size, hash(lines[2]), lines[0]
}

func tilePath(index, size int64) string {
	path := fmt.Sprintf("%03d", index%1000)
	for n := index / 1000; n > 0; n /= 1000 {
		path = fmt.Sprintf("x%03d/%s", n%1000, path)
	}
	if left := size - index*256; left < 256 {
		path += fmt.Sprintf(".p/%d", left)
	}
	return path
}

func entries(folder string, size int64) [][]byte {
	var all [][]byte
	for index := int64(0); index*256 < size; index++ {
		data := read(folder, "log/tile/entries", tilePath(index, size))
		for len(data) > 0 {
			length := int(data[0])<<8 | int(data[1])
			all = append(all, data[2:2+length])
			data = data[2+length:]
		}
	}
	require(int64(len(all)) == size, "there are not as many entries as were signed")
	return all
}

func checkProof(path string, all [][]byte, size int64, root tlog.Hash) {
	text := string(read(path))
	lines := strings.Split(strings.SplitN(text, "\n\n", 2)[0], "\n")
	require(lines[0] == "c2sp.org/tlog-proof@v1", "a proof has another first line")
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	must(err)
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		proof = append(proof, hash(line))
	}
	must(tlog.CheckRecord(proof, size, root, index, tlog.RecordHash(all[index])))
}

func checkLink(path string, size int64, root tlog.Hash, verifiers note.Verifiers) {
	var link struct {
		Checkpoint string
		New, Old   int64
		Proof      []string
	}
	must(json.Unmarshal(read(path), &link))
	older, olderRoot, _ := checkpoint([]byte(link.Checkpoint), verifiers)
	require(link.New == size && link.Old == older, "a consistency proof is of other sizes")
	var proof tlog.TreeProof
	for _, line := range link.Proof {
		proof = append(proof, hash(line))
	}
	must(tlog.CheckTree(proof, size, root, older, olderRoot))
}

func main() {
	folder := os.Args[1]
	var keys []note.Verifier
	for _, line := range strings.Fields(string(read(folder, "keys/log.vkey"))) {
		key, err := note.NewVerifier(line)
		must(err)
		keys = append(keys, key)
	}
	verifiers := note.VerifierList(keys...)
	size, root, origin := checkpoint(read(folder, "log/checkpoint"), verifiers)
	manifest, err := note.Open(read(folder, "manifest.note"), verifiers)
	must(err)
	sum := sha256.Sum256(read(folder, "manifest.json"))
	wanted := fmt.Sprintf("%s/bundle\n%d\n%s\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root[:]), hex.EncodeToString(sum[:]))
	require(manifest.Text == wanted, "manifest.note is not about this manifest")

	all := entries(folder, size)
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, index := range indexes {
			out = append(out, stored[index])
		}
		return out, nil
	})
	for i, entry := range all {
		more, err := tlog.StoredHashes(int64(i), entry, reader)
		must(err)
		stored = append(stored, more...)
	}
	found, err := tlog.TreeHash(size, reader)
	must(err)
	require(bytes.Equal(found[:], root[:]), "the entries make another root")

	proofs, err := filepath.Glob(filepath.Join(folder, "proofs", "*.tlog-proof"))
	must(err)
	for _, path := range proofs {
		checkProof(path, all, size, root)
	}
	links, err := filepath.Glob(filepath.Join(folder, "consistency", "*.json"))
	must(err)
	for _, path := range links {
		checkLink(path, size, root, verifiers)
	}
	fmt.Printf("good: %s, %d entries, %d proofs, %d earlier checkpoints\n", origin, size, len(proofs), len(links))
}
