package api

import (
	"encoding/json"
	"net/http"

	"github.com/gin-gonic/gin"
)

// Problem is an error as RFC 9457 has it, with a code that never changes.
// Every code is listed in doc/errors.md.
type Problem struct {
	Type   string            `json:"type"`
	Title  string            `json:"title"`
	Status int               `json:"status"`
	Detail string            `json:"detail"`
	Code   string            `json:"code"`
	Errors map[string]string `json:"errors,omitempty"` // what is wrong, by the part or field it is wrong with
}

// Codes of problems.
const (
	CodeNotReady = "not_ready"
	CodeNotFound = "not_found"
	CodeMethod   = "method_not_allowed"
	CodeInternal = "internal_error"
)

func problem(status int, code, detail string) Problem {
	return Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// write ends the request with the problem.
func (p Problem) write(c *gin.Context) {
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	c.Abort()
	c.Data(p.Status, "application/problem+json", body)
}
