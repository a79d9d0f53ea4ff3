// Fetches each URL, trusting the certificates of the file that comes first.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	trust := x509.NewCertPool()
	pem, err := os.ReadFile(os.Args[1])
	if err != nil || !trust.AppendCertsFromPEM(pem) {
		fmt.Fprintln(os.Stderr, os.Args[1], "has no certificate:", err)
		os.Exit(2)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}, ForceAttemptHTTP2: true}
	client := http.Client{Transport: transport}
	for _, url := range os.Args[2:] {
		answer, err := client.Get(url)
		if err != nil {
			fmt.Println(err)
			continue
		}
		io.Copy(os.Stdout, answer.Body)
		answer.Body.Close()
	}
}
