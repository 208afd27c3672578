package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/text"
)

const (
	createUserMutation = `mutation ($user: users_insert_input!) { reply: insert_users_one(object: $user) { id email name created_at } }`
	findUsersQuery     = `query ($where: users_bool_exp!) { users(where: $where, limit: 3, order_by: {id: asc}) { id } }`
	listUsersQuery     = `query ($where: users_bool_exp!, $limit: Int) {
		users(where: $where, limit: $limit, order_by: {email: asc}) { id email name created_at }
	}`
)

// longestLine is how many characters the database takes as a name.
const longestLine = 200

type user struct {
	ID        string     `json:"id"`
	Email     string     `json:"email"`
	Name      string     `json:"name"`
	CreatedAt *time.Time `json:"created_at"`
}

// identity is a user as another table's row refers to one.
type identity struct {
	Email string `json:"email"`
	Name  string `json:"name"`
	Kind  string `json:"kind"`
}

// service is the kind of a user that is no person but the identity of an API key, whose
// address is nobody's.
const service = "service"

func (p *program) userCommands() *cobra.Command {
	return group("user", "Make and list users", "Make and list the people who may become members of tenants.",
		p.createUserCommand(), p.listUsersCommand())
}

func (p *program) createUserCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "create <e-mail>",
		Short: "Make a user",
		Long:  "Make a user who may become a member of any tenant.",
		Example: `  nself user create ada@example.com --name "Ada Lovelace"
  nself user create ada@example.com --json`,
		Args: takes(1, 1),
	}
	cmd.Flags().StringVar(&name, "name", "", "the person's name")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if p.token != "" {
			return usagef("making users is the operator's: leave --token out")
		}
		email, err := address(args[0])
		if err != nil {
			return err
		}
		var problems fault.Problems
		object := map[string]any{"email": email, "name": text.Line("--name", name, longestLine, &problems)}
		if err := usageOf(problems); err != nil {
			return err
		}
		made, err := act[user](cmd.Context(), p, createUserMutation, map[string]any{"user": object})
		if refused := new(hasuraapi.Error); errors.As(err, &refused) && strings.Contains(refused.Message, "users_email_key") {
			return fmt.Errorf("there is a user with the e-mail %s already", email)
		}
		if err != nil {
			return err
		}
		return p.print(made, func(w *strings.Builder) { p.done(w, "User created: %s (ID: %s)", made.Email, made.ID) })
	}
	return cmd
}

func (p *program) listUsersCommand() *cobra.Command {
	var search string
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List users by e-mail",
		Long:  "List users, by e-mail. With --token, those the token's role may see. An empty list is no error.",
		Example: `  nself user list
  nself user list --search example.com --limit 20 --json`,
		Args: takes(0, 0),
	}
	cmd.Flags().StringVar(&search, "search", "", "only those whose e-mail or name holds this text")
	cmd.Flags().IntVar(&limit, "limit", 0, "at most so many; 0 is all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := given(cmd, map[string]any{}, "search"); err != nil {
			return err
		}
		if limit < 0 {
			return usagef("--limit %d is less than 0", limit)
		}
		client, err := p.client()
		if err != nil {
			return err
		}
		where, variables := map[string]any{"kind": map[string]any{"_neq": service}}, map[string]any{}
		if search != "" {
			where["_or"] = contains(search, "email", "name")
		}
		if limit > 0 {
			variables["limit"] = limit
		}
		variables["where"] = where
		reply := struct {
			Users []user `json:"users"`
		}{Users: []user{}}
		if err := client.Do(cmd.Context(), listUsersQuery, variables, &reply); err != nil {
			return err
		}
		return p.print(reply.Users, func(w *strings.Builder) { writeUsers(w, reply.Users) })
	}
	return cmd
}

func writeUsers(w *strings.Builder, users []user) {
	rows := make([][]string, len(users))
	for i, u := range users {
		rows[i] = []string{u.ID, u.Email, u.Name, when(u.CreatedAt)}
	}
	table(w, []string{"ID", "EMAIL", "NAME", "CREATED"}, rows)
}

// address is the e-mail address in the form the database keeps: lower case.
func address(typed string) (string, error) {
	var problems fault.Problems
	email := text.Email("the e-mail address", text.Line("the e-mail address", typed, longestLine, &problems), &problems)
	return email, usageOf(problems)
}

// usageOf is the usage error of what is wrong with the arguments, or nil.
func usageOf(problems fault.Problems) error {
	if err := problems.Fault(); err != nil {
		return usagef("%s", fault.From(err).Message)
	}
	return nil
}

// findUser turns an id or e-mail into the id of a user. The operator means the shared
// identity of that address, not one local to a tenant; a token's user, anyone it sees.
func findUser(ctx context.Context, client *hasuraapi.Client, ref string) (string, error) {
	if parsed, err := id.Parse[id.User](ref); err == nil {
		return parsed.String(), nil
	}
	email, err := address(ref)
	if err != nil {
		return "", usagef("%q is neither a user's id nor an e-mail address", shorten(ref))
	}
	where := map[string]any{"email": map[string]any{"_eq": email}}
	missing := "nobody in this tenant has the e-mail " + email + ": invite them with nself tenant member invite"
	if client.Operator() {
		where["tenant_id"] = map[string]any{"_is_null": true}
		missing = "no user with the e-mail " + email + ": create it with nself user create " + email
	}
	var reply struct {
		Users []user `json:"users"`
	}
	if err := client.Do(ctx, findUsersQuery, map[string]any{"where": where}, &reply); err != nil {
		return "", err
	}
	ids := make([]string, len(reply.Users))
	for i, found := range reply.Users {
		ids[i] = found.ID
	}
	return only(ids, missing, email)
}

// only is the one user's id among those found by e-mail.
func only(ids []string, missing, email string) (string, error) {
	switch len(ids) {
	case 0:
		return "", errors.New(missing)
	case 1:
		return ids[0], nil
	}
	return "", fmt.Errorf("several users have the e-mail %s: name one by id (%s)", email, strings.Join(ids, ", "))
}
