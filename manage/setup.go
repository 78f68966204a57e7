package manage

import (
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/varvedb/varve/httpapi"
	"github.com/varvedb/varve/meta"
)

// setupAnswer says whether the server can be set up.
type setupAnswer struct {
	Allowed bool `json:"allowed" doc:"whether POST makes the first user, organisation, bucket and token"`
}

// setupBody is what a server begins with.
type setupBody struct {
	_                      struct{} `additionalProperties:"true"`
	Username               string   `json:"username"`
	Password               string   `json:"password,omitempty" doc:"at least 8 bytes; absent: the user cannot sign in yet"`
	Org                    string   `json:"org"`
	Bucket                 string   `json:"bucket"`
	Token                  string   `json:"token,omitempty" doc:"secret of the first token; absent: a random one"`
	RetentionPeriodSeconds int64    `json:"retentionPeriodSeconds,omitempty" minimum:"0" doc:"age at which points of the bucket go; 0: never"`
	RetentionPeriodHrs     int64    `json:"retentionPeriodHrs,omitempty" minimum:"0" doc:"the same in hours, for old clients"`
}

// setupResult is what was made.
type setupResult struct {
	User   userAnswer          `json:"user"`
	Org    orgAnswer           `json:"org"`
	Bucket *bucketAnswer       `json:"bucket"`
	Auth   authorizationAnswer `json:"auth"`
}

func (a *API) setupRoutes() []httpapi.Route {
	return []httpapi.Route{
		{Method: http.MethodGet, Path: root + "setup", Group: groupAccess, Name: "maySetup", Open: true, Summary: "Can the server be set up?",
			Status: http.StatusOK, Gives: setupAnswer{},
			Serve: func(w http.ResponseWriter, r *http.Request) error {
				done, err := a.meta.Initialised(r.Context())
				if err != nil {
					return err
				}
				return httpapi.WriteJSON(w, http.StatusOK, setupAnswer{!done})
			}},
		{Method: http.MethodPost, Path: root + "setup", Group: groupAccess, Name: "setup", Open: true, Summary: "Set the server up",
			About: "Makes the first user, organisation, bucket and token, whose secret is shown here only. Once that was done, here or by the first start, it is 422.",
			Takes: setupBody{}, Example: `{"username":"admin","password":"correct horse","org":"main","bucket":"default"}`,
			Status: http.StatusCreated, Gives: setupResult{}, Serve: a.setup},
	}
}

// setup is POST /api/v2/setup.
func (a *API) setup(w http.ResponseWriter, r *http.Request) error {
	var b setupBody
	if err := httpapi.ReadJSON(r, &b); err != nil {
		return err
	}
	seconds := b.RetentionPeriodSeconds
	if seconds == 0 {
		if b.RetentionPeriodHrs > math.MaxInt64/int64(time.Hour) || b.RetentionPeriodHrs < 0 {
			return &httpapi.Error{Code: httpapi.Unprocessable, Message: fmt.Sprintf("retentionPeriodHrs is %d: want 0 to %d", b.RetentionPeriodHrs, math.MaxInt64/int64(time.Hour))}
		}
		seconds = b.RetentionPeriodHrs * 3600
	}
	if err := checkSeconds("retentionPeriodSeconds", seconds); err != nil {
		return err
	}
	made, err := a.meta.Setup(a.as(r, meta.Author{Name: "setup"}), meta.Founding{
		User: b.Username, Password: b.Password, Org: b.Org, Bucket: b.Bucket,
		Retention: time.Duration(seconds) * time.Second, Secret: b.Token,
	})
	if err != nil {
		return told(err)
	}
	a.log.InfoContext(r.Context(), "the server was set up", "user", b.Username, "org", b.Org, "bucket", b.Bucket)
	auth := a.answerAuthorization(&made.Token)
	auth.Token = made.Secret
	return httpapi.WriteJSON(w, http.StatusCreated, setupResult{answerUser(&made.User), answerOrg(&made.Org), a.answerBucket(&made.Bucket), auth})
}
